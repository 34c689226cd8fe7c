// Package registry is a client of OCI registries. It lists repositories, tags and manifests, reads manifests and
// blobs and checks their digests, resumes a blob where its download broke off, and pushes.
//
// It knows the distribution specification, Docker's older formats (schema 2 and the signed schema 1), the listing
// extension of Google's registries, and rate limits: one [Budget] of requests for each host, which slows down when
// the host asks for it. It finds content by walking descriptors, never by a list of known media types, and digests
// are sha256 or sha512. Authentication and Google's listing format come from go-containerregistry.
//
// It must not know what the content is for: nothing about object stores, inventories, plans or progress.
//
// Sources: OCI distribution-spec v1.1, image-spec v1.1; for schema 1 the "Image Manifest V 2, Schema 1" document of
// docker/distribution 2.8; RFC 9110 for ranges, redirects and Retry-After; RFC 8288 for Link.
package registry
