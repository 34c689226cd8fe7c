// Package probe asks a deployment what its clients ask, from outside: it knows a registry's name and some images, and
// nothing of the servers behind the name. With a probe identity it asks as a client of any place.
//
// A result proves a decision or a path. A decision is where a client of some place is sent; it can be seen from
// anywhere, with small requests. A path is that the bytes arrive; only whole layers prove it, and only from where the
// probe runs.
//
// It bounds what it costs: requests, bytes and time. It must not know the config, the proxy's own code, how the identity
// is signed, or how results are shown.
package probe
