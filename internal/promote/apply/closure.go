package apply

import (
	"context"
	"errors"
	"maps"
	"sync"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/walk"
)

// listing is what a source repository's tags say about digests. The run asks once.
type listing struct {
	once sync.Once
	tags map[string][]registry.Tag
	cut  bool // there may be more
	err  error
}

// maxListings bounds the repositories whose tags are remembered. In plans, the images of one repository are together.
const maxListings = 256

// closureOf finds out what belongs to an image of a source repository.
func (r *Run) closureOf(ctx context.Context, from string, d oci.Digest) (*walk.Closure, error) {
	reg, repo, err := r.opt.Registries.At(from)
	if err != nil {
		return nil, err
	}
	host, _, _ := promote.SplitRepository(from)
	r.mu.Lock()
	c := r.closers[host]
	if c == nil {
		c = walk.NewCloser(reg, r.opt.Config.Deny.Digests)
		r.closers[host] = c
	}
	l := r.tags[from]
	if l == nil {
		if len(r.tags) >= maxListings {
			clear(r.tags)
		}
		l = new(listing)
		r.tags[from] = l
	}
	r.mu.Unlock()
	l.once.Do(func() {
		var all *registry.Listing
		if all, l.err = reg.List(ctx, repo); l.err == nil {
			l.tags, l.cut = walk.About(all.Tags), all.Truncated
		}
	})
	if l.err != nil && !errors.Is(l.err, registry.ErrNotFound) { // an empty repository may have untagged manifests
		return nil, l.err
	}
	tags := l.tags
	if l.cut { // ask for the image's own tags by name
		key := registry.FallbackTag(d)
		tags = maps.Clone(tags)
		tags[key] = nil
		for _, kind := range []string{"", ".sig", ".att", ".sbom"} {
			tags[key] = append(tags[key], registry.Tag{Name: key + kind})
		}
	}
	return c.Closure(ctx, repo, d, tags)
}
