package walk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Closure is an image with everything that belongs to it: what its index lists, and all referrers of that.
type Closure struct {
	// Manifests are in an order in which a registry accepts them: first what an index lists, then the index; the
	// image is last.
	Manifests []*registry.Manifest
	Blobs     []registry.Descriptor // once each; those that are not to be distributed are left out
	// Indexes are the indexes of referrers that fallback tags name. Manifests does not include them, but what they
	// list.
	Indexes map[string]*registry.Manifest
	// Tags are cosign's, of signatures and the like. Their manifests are part of Manifests.
	Tags map[string]oci.Digest
}

// Root is the image itself.
func (c *Closure) Root() *registry.Manifest { return c.Manifests[len(c.Manifests)-1] }

// Manifest returns a manifest of the closure.
func (c *Closure) Manifest(d oci.Digest) *registry.Manifest {
	i := slices.IndexFunc(c.Manifests, func(m *registry.Manifest) bool { return m.Digest == d })
	if i < 0 {
		return nil
	}
	return c.Manifests[i]
}

// About selects a repository's tags that name the referrers of digests. The keys are how the tags of such digests
// begin: "sha256-…". [Closer.Closure] takes the result.
func About(tags []registry.Tag) map[string][]registry.Tag {
	out := map[string][]registry.Tag{}
	for _, t := range tags {
		if m := about.FindStringSubmatch(t.Name); m != nil {
			key := m[1] + "-" + m[2]
			out[key] = append(out[key], t)
		}
	}
	return out
}

// Closer finds closures in one registry. Several goroutines may use it.
type Closer struct {
	src       *Source
	referrers lookup
}

// NewCloser makes no request. denied are digests that must not be copied.
func NewCloser(r *registry.Registry, denied []oci.Digest) *Closer {
	c := &Closer{src: &Source{Registry: r, Referrers: true, denied: map[oci.Digest]bool{}}}
	for _, d := range denied {
		c.src.denied[d] = true
	}
	return c
}

// ErrDenied says that an image contains something that the config denies.
var ErrDenied = errors.New("denied by the config")

// maxClosure bounds the manifests of a closure, in bytes.
const maxClosure = 64 << 20

// Closure reads an image. tags are the tags of its repository that are about digests ([About]). It leaves out
// referrers that it cannot find. Anything else that it cannot read is an error, and so is denied content
// ([ErrDenied]).
func (c *Closer) Closure(ctx context.Context, repo string, d oci.Digest, tags map[string][]registry.Tag) (*Closure, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g := &gatherer{src: c.src, stop: stop, read: map[oci.Digest]*registry.Manifest{}, blobs: map[oci.Digest]bool{}}
	g.out = Closure{Indexes: map[string]*registry.Manifest{}, Tags: map[string]oci.Digest{}}
	w := New(c.src, g)
	w.stop, w.read, w.below, w.referrers = stop, g.take, true, &c.referrers
	w.root(ctx, &Node{Repository: repo, Digest: d, ask: true})
	if root := g.read[d]; root == nil && g.err == nil && ctx.Err() == nil {
		g.err = fmt.Errorf("%s@%s: %w", repo, d, registry.ErrInvalid)
	}
	for i := 0; i < len(g.out.Manifests) && g.err == nil; i++ { // grows as it goes: signatures of signatures
		for _, t := range tags[registry.FallbackTag(g.out.Manifests[i].Digest)] {
			g.tag(ctx, w, repo, t)
		}
	}
	switch {
	case g.err != nil:
		return nil, g.err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	at := slices.IndexFunc(g.out.Manifests, func(m *registry.Manifest) bool { return m.Digest == d })
	root := g.out.Manifests[at]
	g.out.Manifests = append(slices.Delete(g.out.Manifests, at, at+1), root)
	return &g.out, nil
}

// gatherer is the visitor of a closure.
type gatherer struct {
	silent
	src  *Source
	stop context.CancelCauseFunc

	mu    sync.Mutex
	out   Closure
	read  map[oci.Digest]*registry.Manifest
	blobs map[oci.Digest]bool
	bytes int
	err   error
}

// tag walks what a tag says about a manifest.
func (g *gatherer) tag(ctx context.Context, w *Walker, repo string, t registry.Tag) {
	m, err := g.src.Registry.Manifest(ctx, repo, t.Name)
	if errors.Is(err, registry.ErrNotFound) {
		return // taken away since it was listed
	}
	if err != nil {
		g.Problem(repo, t.Name, err)
		return
	}
	if len(m.Children()) == 0 || t.Name != about.FindStringSubmatch(t.Name)[1]+"-"+about.FindStringSubmatch(t.Name)[2] {
		g.out.Tags[t.Name] = m.Digest
		w.root(ctx, &Node{Repository: repo, Digest: m.Digest, ask: true})
		return
	}
	g.out.Indexes[t.Name] = m
	below := w.most
	for _, r := range m.Children() {
		w.aside(ctx, &Node{Repository: repo, ask: true}, r, &below, 1)
	}
}

func (g *gatherer) take(n *Node, m *registry.Manifest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read[n.Digest] = m
	if g.bytes += len(m.Raw); g.bytes > maxClosure && g.err == nil {
		g.fail(fmt.Errorf("%s@%s: %w: its manifests have more than %d bytes", n.Repository, n.Digest, registry.ErrTooLarge, maxClosure))
	}
}

// fail keeps the first error and ends the walk; the lock is held.
func (g *gatherer) fail(err error) {
	if g.err == nil {
		g.err = err
		g.stop(err)
	}
}

func (g *gatherer) Blob(_ context.Context, n *Node, b registry.Descriptor) {
	if g.src.Denied(b.Digest) {
		g.Skipped(n.Repository, b, Denied)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.blobs[b.Digest] {
		g.blobs[b.Digest] = true
		g.out.Blobs = append(g.out.Blobs, b)
	}
}

func (g *gatherer) Skipped(repo string, b registry.Descriptor, why string) {
	if why != Denied {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail(fmt.Errorf("%s@%s: %w", repo, b.Digest, ErrDenied))
}

func (g *gatherer) Problem(repo, ref string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail(fmt.Errorf("%s %s: %w", repo, ref, err))
}

func (g *gatherer) Finished(n *Node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.read[n.Digest]; m != nil {
		g.out.Manifests = append(g.out.Manifests, m)
	}
}
