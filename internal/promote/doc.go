// Package promote makes production equal to what manifests say.
//
// Planning ([Make]) is a pure function of the manifests and of what registries hold, which it asks a [Holdings] for: each repository
// once. Promotion is additive. A tag that exists with another digest is never moved unless somebody named it; a digest that is
// gone from its source is taken from a destination that has it; one bad item never holds back the rest.
//
// It knows registries, manifests and stores. It must not know commands or how results are shown.
package promote
