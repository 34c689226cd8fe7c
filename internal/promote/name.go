package promote

import (
	"strings"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
)

// SplitRepository parts the full name of a repository into its registry's host and the name there.
func SplitRepository(full string) (host, repository string, ok bool) {
	host, repository, ok = strings.Cut(full, "/")
	return host, repository, ok && oci.ValidName(repository) && manifest.ValidRegistry(host)
}

// ValidRepository reports whether a full name is one.
func ValidRepository(full string) bool {
	_, _, ok := SplitRepository(full)
	return ok
}
