// Package promote makes production equal to what manifests say.
//
// Planning ([Make]) is a pure function of the manifests and of what registries hold. It asks a [Holdings] for the
// content of each repository once. Promotion is additive. It never moves a tag that exists with another digest,
// unless the operator named that tag. When a digest is gone from its source, it takes the digest from a destination
// that has it. One bad item never stops the rest.
//
// It knows registries, manifests and stores. It must not know commands or how results are shown.
package promote
