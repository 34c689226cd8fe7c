package walk

import (
	"context"
	"sync"
	"sync/atomic"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// referring walks the referrers of a manifest, where the registry has an API for that. Without one, the tags lead to
// them.
func (w *Walker) referring(ctx context.Context, from *Node, d oci.Digest, below *int, depth int) {
	if !w.src.Referrers || depth > maxDepth || ctx.Err() != nil {
		return
	}
	refs, err := w.referrers.ask(ctx, w.src.Registry, from.Repository, d)
	if err != nil && ctx.Err() == nil {
		w.to.Problem(from.Repository, d.String(), err)
	}
	for _, r := range refs {
		w.aside(ctx, from, r, below, depth)
	}
}

// lookup asks for referrers as long as there is an API for that.
type lookup struct {
	mu    sync.Mutex // held by the first to ask
	asked atomic.Bool
	none  atomic.Bool
}

func (l *lookup) ask(ctx context.Context, r *registry.Registry, repo string, d oci.Digest) ([]registry.Descriptor, error) {
	if l.none.Load() {
		return nil, nil
	}
	if !l.asked.Load() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.none.Load() {
			return nil, nil
		}
	}
	refs, api, err := r.Referrers(ctx, repo, d)
	if err == nil || api {
		l.asked.Store(true)
		l.none.Store(!api)
	}
	return refs, err
}
