// Package clientip answers one question: whose request is it? It reads the
// address of the TCP peer and, when that peer is a trusted front, the header or
// the PROXY protocol in which the front says for whom it asks.
//
// It knows the fronts of the large providers ([Preset]) and how each of them
// writes an address. It must not know what an address is used for: places,
// routes, configuration files and logs are other packages' business. It imports
// nothing of ours.
//
// A client can write any header it likes, so everything here follows one rule:
// count from the right, where the front wrote, and never look further left than
// the rule says. docs/client-address.md tells the same to operators.
package clientip
