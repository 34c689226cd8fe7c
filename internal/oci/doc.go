// Package oci knows the grammar of the OCI distribution specification. It turns the escaped path and the raw query of
// an HTTP request into a [Request], and validates every part of it. It also has the specification's error codes and
// their JSON body.
//
// It must not know who answers a request: it has no code for places, stores, upstreams, configuration or HTTP handlers.
// It imports nothing of this module.
//
// [Parse] is the only gate. The proxy passes on nothing that Parse refuses. What Parse accepts consists of bytes that
// need no escaping in a URL path, so a client cannot control where a redirect that is built from a Request leads.
//
// Source of the rules: OCI distribution-spec v1.1 ("Endpoints", "Pulling manifests", "Content Discovery", "Error
// Codes") and image-spec v1.1 ("Digests").
package oci
