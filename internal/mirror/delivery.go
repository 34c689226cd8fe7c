package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
	"ociproxy/internal/targets"
	"ociproxy/internal/transfer"
	"ociproxy/internal/walk"
)

// delivery is a blob on its way, and the manifests that wait for it. It uses one reference at a time: a repository, and
// a size that a manifest there states. When the source does not deliver it by one reference, the delivery tries the
// next.
type delivery struct {
	digest  oci.Digest
	by      reference
	left    int       // stores without an outcome
	lacking set.Set   // of those that had one: who did not get it because of the source
	err     error     // of the source, the last
	size    int64     // what it has for certain; -1: not known yet
	vague   int       // failures that may be anybody's
	faults  []refusal // of repositories, the first ones
	waiting []waiter
}

// reference is a way to get a blob.
type reference struct {
	repository string
	size       int64 // that a manifest states, or the source; -1: whatever it is
}

// covers reports whether o need not be tried when r was.
func (r reference) covers(o reference) bool {
	return r.repository == o.repository && (r.size < 0 || r.size == o.size)
}

// refusal is why the source does not give a blob by a reference.
type refusal struct {
	by  reference
	err error
}

// waiter is a manifest that waits for a blob, and the size that it states; -1: it does not.
type waiter struct {
	node *walk.Node
	size int64
}

const (
	// maxVague is how many references are tried in a row when each failure may come from the source as a whole.
	maxVague = 3
	// maxFaults bounds the repositories for which a delivery remembers why they did not deliver the blob.
	maxFaults = 16
	// unheardOf is the size, in bytes, from which on the mirror asks the source before it believes a manifest. The
	// spool reserves space for a blob before its first byte, and a manifest that states a huge size would keep that
	// space from others.
	unheardOf = 1 << 30
	// maxRefused bounds the failed references that a pass remembers. Further ones are tried again when they come.
	maxRefused = 50_000
)

// await makes n wait for a blob that some store needs, and starts the transfer unless it is under way.
func (p *filler) await(ctx context.Context, n *walk.Node, b registry.Descriptor) {
	k, by := walk.KeyOf(b.Digest), reference{n.Repository, b.Size}
	p.mu.Lock()
	if f := p.deliveries[k]; f != nil {
		n.Hold()
		f.waiting = append(f.waiting, waiter{n, b.Size})
		p.mu.Unlock()
		return
	}
	need := p.targets.Ledger.Lacking(b.Digest) // again: it may have arrived just now
	missed := p.missed[k]
	need.AndNot(&missed)
	need.AndNot(&p.out)
	err := p.refusal(b.Digest, by)
	if need.Empty() || err != nil {
		p.mu.Unlock()
		if p.compare(n, b.Digest, b.Size, heldSize(p.targets, b.Digest)) && err != nil {
			p.refuse(n, b.Digest, err)
		}
		return
	}
	n.Hold()
	f := &delivery{digest: b.Digest, by: by, size: -1, waiting: []waiter{{n, b.Size}}}
	p.deliveries[k] = f
	p.mu.Unlock()
	p.try(ctx, f, need)
}

// heldSize returns the size of a blob that stores hold, as their inventories say; -1: they do not agree, or no store
// holds it.
func heldSize(f *targets.Set, d oci.Digest) int64 {
	for i := range f.Stores {
		if size, ok := f.Ledger.Holds(i, d); ok {
			return size
		}
	}
	return -1
}

// try sends a blob to the stores of need by the delivery's reference.
func (p *filler) try(ctx context.Context, f *delivery, need set.Set) {
	if f.by.size < 0 || f.by.size > unheardOf {
		size, err := p.src.Registry.StatBlob(ctx, f.by.repository, f.digest)
		switch {
		case err == nil:
			f.by.size = size
		case f.by.size < 0:
			f.lacking, f.err = need, err
			p.withheld(ctx, f)
			return
		}
	}
	f.left, f.lacking = need.Len(), set.Set{}
	size := f.by.size
	p.toCopy.Add(int64(f.left))
	need.Each(func(i int) { p.stores[i].wanted.Add(size) })
	blob := transfer.Blob{Digest: f.digest, Size: size, Repository: f.by.repository}
	results := p.targets.Ensure(ctx, blob, need)
	p.awaited.Go(func() {
		for r := range results {
			p.answered(ctx, f, blob, r)
		}
	})
}

// answered handles the result for a blob in one store.
func (p *filler) answered(ctx context.Context, f *delivery, b transfer.Blob, r targets.Result) {
	sources := r.Err != nil && ctx.Err() == nil && ofSource(r.Err)
	if sources {
		p.toCopy.Add(-1)
		p.stores[r.Target].wanted.Add(-b.Size)
	} else {
		p.tell(ctx, b, r)
	}
	p.mu.Lock()
	switch {
	case sources:
		f.lacking.Add(r.Target)
		f.err = r.Err
	case r.Err != nil:
		k := walk.KeyOf(b.Digest)
		missed := p.missed[k]
		missed.Add(r.Target)
		p.missed[k] = missed
	default:
		f.size = b.Size
	}
	f.left--
	last := f.left == 0
	p.mu.Unlock()
	switch {
	case last && f.lacking.Empty():
		p.arrived(f)
	case last:
		p.withheld(ctx, f)
	}
}

// ofSource reports whether the source did not deliver a blob by a reference, or the reference may be wrong.
func ofSource(err error) bool {
	return transfer.OfSource(err) || errors.Is(err, transfer.ErrSpace)
}

// withheld continues a delivery whose blob the source did not deliver by its reference: with the next reference, if
// there is one.
func (p *filler) withheld(ctx context.Context, f *delivery) {
	next, ok := p.correct(ctx, f)
	p.mu.Lock()
	p.remember(f)
	if !ok {
		next, ok = p.next(f)
	}
	if ok && ctx.Err() == nil {
		f.by = next
		p.mu.Unlock()
		p.try(ctx, f, f.lacking)
		return
	}
	p.mu.Unlock()
	p.lost(ctx, f)
}

// correct asks a delivery's repository for the blob's size, when the size that a manifest states may be the fault. It
// returns false when it is not.
func (p *filler) correct(ctx context.Context, f *delivery) (reference, bool) {
	wrong, known := errors.AsType[*transfer.SizeError](f.err)
	if !known && !errors.Is(f.err, transfer.ErrSpace) || f.by.size < 0 {
		return reference{}, false
	}
	size := int64(-1)
	if known {
		size = wrong.Is
	}
	if size < 0 {
		var err error
		if size, err = p.src.Registry.StatBlob(ctx, f.by.repository, f.digest); err != nil {
			return reference{}, false
		}
	}
	by := reference{f.by.repository, size}
	p.mu.Lock()
	defer p.mu.Unlock()
	return by, size != f.by.size && p.refusal(f.digest, by) == nil
}

// refusal returns why the source did not deliver a blob by a reference like this one in this pass; nil: it was not
// asked. The lock is held.
func (p *filler) refusal(d oci.Digest, by reference) error {
	tried := p.refused[walk.KeyOf(d)]
	if i := slices.IndexFunc(tried, func(r refusal) bool { return r.by.covers(by) }); i >= 0 {
		return tried[i].err
	}
	return nil
}

// remember notes that a delivery's reference failed. Where the size may be the fault, the repository may be good. The
// lock is held.
func (p *filler) remember(f *delivery) {
	by := f.by
	if _, sized := errors.AsType[*transfer.SizeError](f.err); !sized && !errors.Is(f.err, transfer.ErrSpace) {
		by.size = -1
		if len(f.faults) < maxFaults {
			f.faults = append(f.faults, refusal{by, f.err})
		}
		if !errors.Is(f.err, transfer.ErrGone) && !errors.Is(f.err, transfer.ErrCorrupt) && !errors.Is(f.err, registry.ErrUnauthorized) &&
			!errors.Is(f.err, registry.ErrNotFound) {
			f.vague++
		}
	}
	if p.refusals < maxRefused {
		p.refusals++
		k := walk.KeyOf(f.digest)
		p.refused[k] = append(p.refused[k], refusal{by, f.err})
	}
}

// next selects the next reference of the waiting manifests. The lock is held. Of one repository the largest size
// comes first: when a size is too large, the end of the source's data shows the right one, even where the source does
// not report sizes.
func (p *filler) next(f *delivery) (by reference, ok bool) {
	if f.vague >= maxVague || errors.Is(f.err, registry.ErrThrottled) {
		return by, false
	}
	for _, w := range f.waiting {
		o := reference{w.node.Repository, w.size}
		if (!ok || o.repository == by.repository && o.size > by.size) && p.refusal(f.digest, o) == nil {
			by, ok = o, true
		}
	}
	return by, ok
}

// arrived ends a delivery whose blob is in every store that could take it: the manifests that wait for it go on.
func (p *filler) arrived(f *delivery) {
	p.mu.Lock()
	k := walk.KeyOf(f.digest)
	delete(p.deliveries, k)
	p.refusals -= len(p.refused[k])
	delete(p.refused, k)
	p.mu.Unlock()
	for _, w := range f.waiting {
		if p.compare(w.node, f.digest, w.size, f.size) {
			if i := slices.IndexFunc(f.faults, func(r refusal) bool { return r.by.repository == w.node.Repository }); i >= 0 {
				p.name(w.node, f.digest, f.faults[i].err) // others had it: the image is whole where it was copied to
			}
		}
		p.walker.Release(w.node)
	}
}

// lost ends a delivery when no reference helps, and reports every image that waited for it.
func (p *filler) lost(ctx context.Context, f *delivery) {
	p.mu.Lock()
	delete(p.deliveries, walk.KeyOf(f.digest))
	p.mu.Unlock()
	if ctx.Err() == nil {
		f.lacking.Each(func(i int) {
			p.stores[i].failed.Add(1)
			p.toCopy.Add(1)
			p.blobsFailed.Add(1)
		})
	}
	for _, w := range f.waiting {
		err := f.err
		if i := slices.IndexFunc(f.faults, func(r refusal) bool { return r.by.repository == w.node.Repository }); i >= 0 {
			err = f.faults[i].err
		}
		if ctx.Err() == nil && p.compare(w.node, f.digest, w.size, f.size) {
			p.refuse(w.node, f.digest, err)
		}
		p.walker.Release(w.node)
	}
}

// refuse notes that an image misses a blob because its repository does not deliver it. Another repository that has
// the image may deliver it.
func (p *filler) refuse(n *walk.Node, d oci.Digest, err error) {
	n.Spoil()
	p.name(n, d, err)
}

// name reports what is wrong with a blob of an image.
func (p *filler) name(n *walk.Node, d oci.Digest, err error) {
	p.Problem(n.Repository, n.Digest.String(), fmt.Errorf("blob %s: %w", d, err))
}

// compare reports whether the size that an image states for a blob is right, as far as that is known. A client that
// checks sizes refuses an image with a wrong one. So the pass reports such an image, and it is never complete,
// whichever other image has the blob.
func (p *filler) compare(n *walk.Node, d oci.Digest, states, is int64) bool {
	if states < 0 || is < 0 || states == is {
		return true
	}
	n.Fail()
	p.Problem(n.Repository, n.Digest.String(), misstates(d, states, is))
	return false
}

// misstates says that a manifest states a wrong size of a blob.
func misstates(d oci.Digest, states, is int64) error {
	return fmt.Errorf("blob %s: %w: the manifest states %s, the blob has %d", d, registry.ErrInvalid, english.Plural(int(states), "byte", ""), is)
}
