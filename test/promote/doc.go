// Package promote holds tests of oci-proxyctl promote among real registries and real object stores, all on loopback: a staging
// registry, two production registries, three stores, with faults on every way between them and kills at every step.
//
// What the program says of itself is not believed. An observer watches production all the while, and an oracle looks at every
// promoted image in every registry and store in the end: it reads what the public reads, and hashes it.
package promote
