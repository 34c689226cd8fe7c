package walk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"ociproxy/internal/registry"
)

// work reads a manifest that was entered, and walks it.
func (w *Walker) work(ctx context.Context, n *Node, below *int, depth int) {
	if ctx.Err() != nil {
		w.broken(ctx, n, ctx.Err())
		return
	}
	m, blob, err := w.fetch(ctx, n)
	w.heard(err)
	gone, told := registry.Gone(err)
	switch {
	case blob:
		for _, by := range w.graph.abandon(n) {
			if by.lists.MustBeManifest() {
				w.missing(by.parent, n)
			} else {
				w.asBlob(ctx, by.parent, by.lists)
			}
			w.graph.release(by.parent)
		}
	case err == nil:
		w.contents(ctx, n, m, below, depth)
	case n.aside && errors.Is(err, registry.ErrNotFound):
		n.void.Store(true)
		w.graph.release(n)
	case n.listed && gone && !w.remains(ctx, n):
		w.gone(n.Repository, n.Digest.String(), told)
		n.void.Store(true)
		w.graph.release(n)
	default:
		if torn, ok := errors.AsType[*registry.TornError](err); ok { // what can be followed is no worse for it
			w.unread(ctx, n.Repository, n.Digest.String(), err)
			n.Fail()
			w.contents(ctx, n, torn.Rest, below, depth)
			return
		}
		w.broken(ctx, n, err)
	}
}

// fetch reads a manifest. If only an index calls it a manifest, it may be a blob.
func (w *Walker) fetch(ctx context.Context, n *Node) (m *registry.Manifest, blob bool, err error) {
	if n.from != nil {
		return w.src.Registry.Child(ctx, n.Repository, registry.Descriptor{Digest: n.Digest, MediaType: n.from.MediaType, Size: -1})
	}
	m, err = w.src.Registry.Manifest(ctx, n.Repository, n.Digest.String())
	return m, false, err
}

// remains reports whether a tag still leads to a manifest that the source does not have: then the tag was not removed
// meanwhile.
func (w *Walker) remains(ctx context.Context, n *Node) bool {
	if n.tag == "" {
		return false
	}
	d, err := w.src.Registry.Resolve(ctx, n.Repository, n.tag)
	return err == nil && d.Digest == n.Digest
}

// gone reports something that a list names and the registry does not have: it was removed meanwhile.
func (w *Walker) gone(repo, ref string, told bool) {
	if !told {
		w.untold.Add(1)
	}
	w.to.Gone(repo, ref)
}

// sized tells an index the real size of a manifest that it lists: a client that checks sizes refuses another one.
func (w *Walker) sized(by waiter, size int64) {
	if by.lists.Size >= 0 && size > 0 && by.lists.Size != size {
		by.parent.Fail()
		w.to.Problem(by.parent.Repository, by.parent.Digest.String(),
			fmt.Errorf("%w: it lists %s with %d bytes, and that has %d", registry.ErrInvalid, by.lists.Digest, by.lists.Size, size))
	}
}

// missing tells an index that a manifest that it lists is not there.
func (w *Walker) missing(parent, of *Node) {
	parent.Fail()
	w.to.Problem(parent.Repository, parent.Digest.String(), fmt.Errorf("it lists %s: %w", of.Digest, registry.ErrNotFound))
}

// contents passes on what belongs to n, and walks what is below it and its referrers. It releases n.
func (w *Walker) contents(ctx context.Context, n *Node, m *registry.Manifest, below *int, depth int) {
	defer w.graph.release(n)
	n.Size = m.Size
	if w.read != nil {
		w.read(n, m)
	}
	for _, b := range m.Skipped() {
		w.to.Skipped(n.Repository, b, "not to be distributed: "+strings.Join(b.URLs, " "))
	}
	for _, b := range m.Blobs() {
		w.to.Blob(ctx, n, b)
	}
	for _, c := range m.Children() {
		w.child(ctx, n, c, below, depth+1)
	}
	if s := m.Subject(); s != nil && !w.below {
		w.aside(ctx, n, *s, below, depth+1)
	}
	if n.ask {
		w.referring(ctx, n, n.Digest, below, depth+1)
	}
}

// fits counts one more manifest below a listed one.
func (w *Walker) fits(below *int, depth int) bool {
	*below--
	return *below >= 0 && depth <= maxDepth
}

// child walks what an index lists. The index waits for it.
func (w *Walker) child(ctx context.Context, n *Node, d registry.Descriptor, below *int, depth int) {
	switch {
	case ctx.Err() != nil:
		n.Fail()
		return
	case w.src.Denied(d.Digest):
		n.partial.Store(true)
		w.to.Skipped(n.Repository, d, Denied)
		return
	case d.MustBeBlob(): // so it is for this index; what others say of the digest is theirs
		w.to.Blob(ctx, n, d)
		return
	}
	// It is read even when it is known to be complete: this index must know whether it is here, and has the size that
	// the index states. An index that is known itself is not read.
	n.addChild(d.Digest)
	c := &Node{Repository: n.Repository, Digest: d.Digest, ask: n.ask, At: n.At, from: &d, depth: depth, top: cmp.Or(n.top, n)}
	by := waiter{n, d}
	switch how, size := w.graph.enter(c, by, func() bool { return w.fits(below, depth) }); how {
	case begun:
		w.work(ctx, c, below, depth)
	case done:
		w.sized(by, size)
	case wasted:
		n.Spoil()
	case isBlob:
		w.asBlob(ctx, n, d)
	case absent:
		w.missing(n, c)
	case tooMuch:
		n.nested.Store(true)
		n.Spoil()
		if top := cmp.Or(n.top, n); !top.deep.Swap(true) {
			top.Fail()
			w.to.Problem(n.Repository, d.Digest.String(), fmt.Errorf("below %s: %w", top.Digest, ErrNested))
		}
	case busy: // n waits
	}
}

// asBlob turns what n lists among its manifests into one of its blobs.
func (w *Walker) asBlob(ctx context.Context, n *Node, d registry.Descriptor) {
	n.notChild(d.Digest)
	w.to.Blob(ctx, n, d)
}

// broken ends the work on a manifest that cannot be read.
func (w *Walker) broken(ctx context.Context, n *Node, err error) {
	if ctx.Err() == nil {
		w.to.Problem(n.Repository, n.Digest.String(), err)
	}
	n.Fail()
	w.graph.release(n)
}

// aside walks a manifest that belongs to the source but not to the image at hand: the subject of an artifact, or a
// referrer of the image. It is no fault when that manifest is not there.
func (w *Walker) aside(ctx context.Context, from *Node, d registry.Descriptor, below *int, depth int) {
	if ctx.Err() != nil || w.src.Denied(d.Digest) {
		return
	}
	if w.to.Known(d.Digest) {
		w.graph.note(d.Digest)
		return
	}
	n := &Node{Repository: from.Repository, Digest: d.Digest, ask: from.ask, aside: true, depth: depth, top: cmp.Or(from.top, from)}
	if how, _ := w.graph.enter(n, waiter{}, func() bool { return w.fits(below, depth) }); how == begun {
		w.work(ctx, n, below, depth)
	}
}
