package promote

import (
	"strings"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
)

// SplitRepository splits the full name of a repository into its registry's host and the name there.
func SplitRepository(full string) (host, repository string, ok bool) {
	host, repository, ok = strings.Cut(full, "/")
	return host, repository, ok && oci.ValidName(repository) && manifest.ValidRegistry(host)
}

// ValidRepository reports whether full is a valid full name of a repository.
func ValidRepository(full string) bool {
	_, _, ok := SplitRepository(full)
	return ok
}
