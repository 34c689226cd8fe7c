package sign

import (
	"strings"

	"ociproxy/internal/registry"
)

// Identity is the name that a signature gives the image in a repository, which is known by its full name: host[:port]/path/image.
// It is what people call the image, and so may differ from where it lies. nil is the full name itself.
type Identity func(repository string) string

// Renamed is the identity of registries that are known by another name, such as a proxy's: what begins with from begins with to
// instead. Other names stay.
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
