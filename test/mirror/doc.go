// Package mirror holds tests of oci-proxyctl mirror, audit and purge with real registries and real object stores. All
// of them run on loopback, with faults on every connection between them.
//
// The source is CNCF distribution, and docker-registry 2.8 for schema 1. The stores are versitygw, SeaweedFS,
// fake-gcs-server and Azurite. A gate stands between the program and each of them: a reverse proxy that counts what
// passes and can spoil it. The tests do not rely on what the program reports about itself: an oracle reads every blob
// as the public does, and hashes it.
package mirror
