package walk

import (
	"context"
	"errors"
	"fmt"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Parts are what an image consists of, without its referrers. They hold no content.
type Parts struct {
	Manifests []Blob // itself first, then what its index lists
	Blobs     []Blob // once each; those that are not to be distributed are left out
}

// maxParts bounds the manifests of one image: many images are examined at the same time.
const maxParts = 4096

// PartsOf reads an image's manifests, one after the other. The first one that cannot be read ends it; the error is
// the registry's, or [ErrNested].
func PartsOf(ctx context.Context, r *registry.Registry, repo string, d oci.Digest) (*Parts, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	v := &lister{stop: stop, seen: map[oci.Digest]bool{}}
	w := New(&Source{Registry: r}, v)
	w.stop, w.read, w.below, w.most = stop, v.take, true, maxParts
	w.root(ctx, &Node{Repository: repo, Digest: d})
	switch {
	case v.err != nil:
		return nil, v.err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return &v.out, nil
}

// lister is the visitor of [PartsOf]. The walk is in one goroutine.
type lister struct {
	silent
	stop context.CancelCauseFunc
	out  Parts
	seen map[oci.Digest]bool
	err  error
}

func (v *lister) take(n *Node, m *registry.Manifest) {
	v.out.Manifests = append(v.out.Manifests, Blob{n.Digest, m.Size})
}

func (v *lister) Blob(_ context.Context, _ *Node, b registry.Descriptor) {
	if !v.seen[b.Digest] {
		v.seen[b.Digest] = true
		v.out.Blobs = append(v.out.Blobs, Blob{b.Digest, b.Size})
	}
}

func (v *lister) Problem(repo, ref string, err error) {
	if errors.Is(err, ErrNested) { // others say where
		err = fmt.Errorf("%s@%s: %w", repo, ref, err)
	}
	v.err = err // the first one ends the walk
	v.stop(err)
}
