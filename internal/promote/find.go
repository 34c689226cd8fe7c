package promote

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"ociproxy/internal/registry"
)

// Find returns the repositories below a registry as manifests name it, host[:port][/path]; their names omit that
// prefix. Listings are included where they cost nothing. The last pair may be an error; [registry.ErrNoCatalog] when
// the registry lists no repositories.
func (r *Registries) Find(ctx context.Context, destination string) iter.Seq2[registry.Found, error] {
	return func(yield func(registry.Found, error) bool) {
		reg, err := r.below(destination)
		if err != nil {
			yield(registry.Found{}, err)
			return
		}
		defer reg.Close()
		reg.Find(ctx)(yield)
	}
}

// below opens a part of a registry, with the budget of its host.
func (r *Registries) below(destination string) (*registry.Registry, error) {
	const some = "/x" // any name: only the host matters
	host, name, ok := SplitRepository(destination + some)
	if !ok {
		return nil, fmt.Errorf("%q is no registry", destination)
	}
	whole, _, err := r.At(destination + some)
	if err != nil {
		return nil, err
	}
	opt := r.options(host)
	opt.Prefix, opt.Budget = strings.TrimSuffix(strings.TrimSuffix(name, "x"), "/"), whole.Budget()
	return registry.Open(opt)
}
