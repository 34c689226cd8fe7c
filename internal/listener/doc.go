// Package listener accepts the connections of strangers and decides how many each of them may have.
//
// A connection passes four stations before a server sees it: it takes a place among those that may be open at
// once, says whose it is (the peer's, or the client's that a PROXY header names), makes its TLS handshake, and
// has its HTTP/1 headers read by the letter. None of them holds up the next connection.
//
// It must not know requests, configuration or what an address means: which network an address belongs to, and
// whose peers are load balancers, it is told.
package listener
