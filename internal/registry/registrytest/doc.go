// Package registrytest is an OCI registry in memory, for the tests beside the code. It follows the distribution
// specification, shows which requests it got and what it holds, and misbehaves when a test asks for it.
//
// It knows the specification, the listing of Google's registries, and nothing of the package that it tests: it shares
// no code with [ociproxy/internal/registry] but the grammar. Where real registries run (test/), it does not replace
// them.
package registrytest
