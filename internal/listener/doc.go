// Package listener accepts connections from anonymous clients and limits how many each client may have.
//
// A connection passes four stations before a server sees it. It takes a slot among the connections that may be open
// at once. It says whose it is: the peer's, or the client's that a PROXY header names. It makes its TLS handshake.
// Its HTTP/1 headers are read strictly. None of these steps delays the next connection.
//
// It must not know requests, configuration or what an address means: the caller says which network an address belongs
// to, and which peers are load balancers.
package listener
