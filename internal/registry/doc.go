// Package registry is a client of OCI registries. It lists repositories, tags and manifests. It reads manifests and
// blobs and checks the digests of manifests. It resumes a blob where its download broke off. It also pushes.
//
// It knows the distribution specification, Docker's older formats (schema 2 and the signed schema 1), the listing
// extension of Google's registries, and rate limits: each host has one [Budget] of requests, which slows down when the
// host asks for it. It finds content by walking descriptors, never by a list of known media types. Digests are sha256
// or sha512. Authentication and Google's listing format come from go-containerregistry.
//
// It must not know what the content is for: it has no code for object stores, inventories, plans or progress.
//
// Sources: OCI distribution-spec v1.1, image-spec v1.1; for schema 1 the "Image Manifest V 2, Schema 1" document of
// docker/distribution 2.8; RFC 9110 for ranges, redirects and Retry-After; RFC 8288 for Link.
package registry
