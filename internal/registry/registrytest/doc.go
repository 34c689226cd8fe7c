// Package registrytest is an OCI registry in memory, for Go tests. It follows the distribution specification, records
// its requests, shows what it holds, and misbehaves when a test asks for it.
//
// It knows the specification and the listing of Google's registries, and nothing of the package that it tests: it
// shares only the grammar with [ociproxy/internal/registry]. It does not replace the tests with real registries
// (test/).
package registrytest
