// Package mirror holds tests of oci-proxyctl mirror, audit and purge among real registries and real object stores, all on
// loopback, with faults on every way between them.
//
// The source is CNCF distribution; docker-registry 2.8 is another one, for schema 1. The stores are versitygw, SeaweedFS,
// fake-gcs-server and Azurite. Between the program and each of them stands a gate: a reverse proxy that counts what passes and
// can spoil it. What the program says of itself is not believed: an oracle reads every blob as the public does, and hashes it.
package mirror
