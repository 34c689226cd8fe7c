// Package listener accepts connections from anonymous clients and limits how many connections each client may have.
//
// A connection passes four stations before a server sees it. First it takes a slot among the connections that may be
// open at once. Then its owner is determined: the peer, or the client that a PROXY header names. Then it makes its TLS
// handshake. Finally, its HTTP/1 headers are read strictly. None of these steps delays the next connection.
//
// It must not know requests, configuration or what an address means: the caller says which network an address belongs
// to, and which peers are load balancers.
package listener
