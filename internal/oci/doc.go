// Package oci knows the grammar of the OCI distribution specification: it turns
// the escaped path and the raw query of an HTTP request into a [Request] whose
// every part is validated, and it knows the specification's error codes and
// their JSON body.
//
// It must not know where a request is answered: nothing about places, stores,
// upstreams, configuration or HTTP handlers. It imports nothing of ours.
//
// [Parse] is the only gate. Whatever it refuses is passed on nowhere; whatever
// it accepts consists of bytes that need no escaping in a URL path, so that a
// redirect built from a Request cannot be steered by its sender.
//
// Source of the rules: OCI distribution-spec v1.1 ("Endpoints", "Pulling
// manifests", "Content Discovery", "Error Codes") and image-spec v1.1
// ("Digests").
package oci
