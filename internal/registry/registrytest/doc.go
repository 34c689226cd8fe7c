// Package registrytest is an OCI registry in memory, for the tests beside the code: it speaks the distribution specification
// as a good registry does, shows what it was asked and what it has, and misbehaves when a test tells it to.
//
// It knows the specification, the listing of Google's registries, and nothing of the package that it tests: it shares no code
// with [ociproxy/internal/registry] but the grammar. Where real registries run (test/) it is no stand-in for them.
package registrytest
