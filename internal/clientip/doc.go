// Package clientip answers one question: which client sent this request? It reads the address of the TCP peer. When
// that peer is a trusted front, it reads the header or the PROXY protocol in which the front names the client.
//
// It knows the fronts of the large providers ([Preset]) and how each of them writes an address. It must not know what
// an address is used for: other packages deal with places, routes, configuration files and logs. It imports nothing
// of this module.
//
// A client can write any header it likes, so everything here follows one rule: count from the right, where the front
// wrote, and never look further left than the rule says. docs/client-address.md explains this to operators.
package clientip
