package sign

import (
	"strings"

	"ociproxy/internal/registry"
)

// Identity returns the name that a signature gives the image in a repository. repository is the full name:
// host[:port]/path/image. The identity is what people call the image, so it may differ from its repository's name. nil
// is the full name itself.
type Identity func(repository string) string

// Renamed returns the identity for registries that are known by another name, such as a proxy's. It replaces from at
// the beginning of a name by to. Other names stay.
func Renamed(from, to string) Identity {
	return func(repository string) string {
		if rest, ok := strings.CutPrefix(repository, from+"/"); ok {
			return to + "/" + rest
		}
		return repository
	}
}

func (i Identity) of(reg *registry.Registry, repo string) string {
	full := reg.String() + "/" + repo
	if i == nil {
		return full
	}
	return i(full)
}
