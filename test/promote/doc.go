// Package promote holds tests of oci-proxyctl promote with real registries and real object stores, all on loopback: a
// staging registry, two production registries and three stores. The tests put faults on every connection between them
// and kill runs at every step.
//
// The tests do not rely on what the program reports about itself. An observer watches production all the time. At the
// end, an oracle checks every promoted image in every registry and store: it reads what the public reads, and hashes
// it.
package promote
