package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/ledger"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
	"ociproxy/internal/targets"
	"ociproxy/internal/transfer"
	"ociproxy/internal/walk"
)

// filler is the visitor that copies missing blobs to the stores.
type filler struct {
	notes
	src     *walk.Source
	targets *targets.Set
	opt     Options
	walker  *walk.Walker
	stores  []tally // by index of the targets
	now     time.Time
	ctx     context.Context // of the pass, for what is recorded when a blob has arrived

	awaited sync.WaitGroup // blobs on their way

	mu         sync.Mutex
	out        set.Set                // stores that are left alone for the rest of the pass
	deliveries map[walk.Key]*delivery // blobs on their way
	missed     map[walk.Key]set.Set   // blobs that some stores could not take: not tried again in this pass
	refused    map[walk.Key][]refusal // of blobs that the source did not give by them: not tried again in this pass
	refusals   int                    // in all
	before     map[walk.Key]outcome   // of images of which the source did not give all
	denying    map[walk.Key]bool      // manifests of which something is denied, perhaps far below
}

// tally is what a pass did for one store.
type tally struct {
	uploaded, copied, present, failed, bytesUp, bytesCopied atomic.Int64
	wanted, arrived                                         atomic.Int64 // bytes, without those that failed

	mu             sync.Mutex
	fault          error // of the store as a whole
	incomplete     int64
	newest, oldest time.Time // of incomplete manifests
}

func newFiller(src *walk.Source, f *targets.Set, opt Options) *filler {
	return &filler{
		src: src, targets: f, opt: opt, stores: make([]tally, len(f.Stores)), now: time.Now(),
		deliveries: map[walk.Key]*delivery{}, missed: map[walk.Key]set.Set{}, refused: map[walk.Key][]refusal{},
		denying: map[walk.Key]bool{}, before: map[walk.Key]outcome{},
	}
}

// Known implements [walk.Visitor].
func (p *filler) Known(d oci.Digest) bool {
	if p.opt.Full {
		return false
	}
	lacks := p.targets.Ledger.Incomplete(d)
	return lacks.Empty()
}

// Ripe implements [walk.Visitor]. The mirror asks for new signatures of a complete image about once a day, each image
// in its turn. To ask for all in every pass would be one request for each image.
func (p *filler) Ripe(d oci.Digest) bool {
	turns := max(1, int64(24*time.Hour/max(p.opt.Interval, time.Minute)))
	turn := p.now.Unix() / max(60, int64(p.opt.Interval/time.Second))
	k := walk.KeyOf(d)
	return int64(binary.BigEndian.Uint32(k[8:]))%turns == turn%turns
}

// Listed implements [walk.Visitor].
func (p *filler) Listed(_ string, images int) {
	p.repositories.Add(1)
	p.notes.listed.Add(int64(images))
}

// Problem implements [walk.Visitor].
func (p *filler) Problem(repo, ref string, err error) {
	p.notes.problem(Problem{Class: classOf(err, SourceFailed), Repository: repo, Reference: ref, Error: err.Error()})
}

// Blob implements [walk.Visitor].
func (p *filler) Blob(ctx context.Context, n *walk.Node, b registry.Descriptor) {
	switch {
	case p.src.Denied(b.Digest):
		n.Deny()
		p.Skipped(n.Repository, b, walk.Denied)
		return
	case !b.Digest.InStores():
		p.Skipped(n.Repository, b, "stores hold sha256 and sha512 only")
		return
	}
	n.AddBlob(b)
	switch lacks := p.targets.Ledger.Lacking(b.Digest); {
	case lacks.Empty():
		p.compare(n, b.Digest, b.Size, heldSize(p.targets, b.Digest))
	case !mine(p.opt.Shard, b.Digest):
		p.others.Add(1)
	default:
		p.await(ctx, n, b)
	}
}

func (p *filler) tell(ctx context.Context, b transfer.Blob, r targets.Result) {
	t := &p.stores[r.Target]
	if r.Err != nil {
		t.wanted.Add(-b.Size)
		if interrupted(ctx, r.Err) {
			return
		}
		t.failed.Add(1)
		p.blobsFailed.Add(1)
		p.fault(b, r)
		return
	}
	t.arrived.Add(b.Size)
	switch r.How {
	case transfer.AlreadyThere:
		t.present.Add(1)
		p.present.Add(1)
		return
	case transfer.Copied:
		t.copied.Add(1)
		t.bytesCopied.Add(b.Size)
	default: // uploaded, or repaired by uploading
		t.uploaded.Add(1)
		t.bytesUp.Add(b.Size)
	}
	p.copied.Add(1)
}

// fault notes why a blob did not reach a store. When the store as a whole is at fault, the pass leaves it alone from
// then on, and reports that once.
func (p *filler) fault(b transfer.Blob, r targets.Result) {
	whole := errors.Is(r.Err, targets.ErrUnready) || errors.Is(r.Err, transfer.ErrTripped) || errors.Is(r.Err, ledger.ErrAside)
	if whole && !p.leave(r.Target, r.Err) {
		return
	}
	problem := Problem{Class: classOf(r.Err, StoreFailed), Store: p.targets.Stores[r.Target].Name(), Error: r.Err.Error()}
	if !whole {
		problem.Repository, problem.Reference = b.Repository, b.Digest.String()
	}
	p.notes.problem(problem)
}

// leave leaves a store alone for the rest of the pass. It returns false when that was already done and reported.
func (p *filler) leave(i int, err error) bool {
	p.mu.Lock()
	said := p.out.Has(i)
	p.out.Add(i)
	p.mu.Unlock()
	if !said {
		p.stores[i].blame(err)
	}
	return !said
}

func (t *tally) blame(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == nil {
		t.fault = err
	}
}

// Finished implements [walk.Visitor]: it records the image in the stores that now have all of it.
func (p *filler) Finished(n *walk.Node) {
	switch {
	case n.Void():
		return
	case p.partial(n):
		p.denied.Add(1)
		return
	}
	if n.Failed() {
		p.failed.Add(1)
	}
	missing := p.recount(n)
	for i := range p.targets.Stores {
		if n.Failed() || !p.whole(i, n) {
			missing.Add(i)
			p.stores[i].late(p.opt.Seen.at(n, p.now))
		}
	}
	if missing.Empty() {
		p.complete.Add(1)
		p.opt.Seen.forget(n)
	} else if n.Incomplete() {
		p.mu.Lock()
		p.before[walk.KeyOf(n.Digest)] = outcome{missing, n.Failed()}
		p.mu.Unlock()
	}
}

// outcome is how an image ended that may be walked again, by another repository that has it.
type outcome struct {
	missing set.Set // stores where it is not complete
	failed  bool
}

// recount subtracts what was counted for an image that is walked again.
func (p *filler) recount(n *walk.Node) (none set.Set) {
	if !n.Again() {
		return none
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.before[walk.KeyOf(n.Digest)]
	delete(p.before, walk.KeyOf(n.Digest))
	if was.failed {
		p.failed.Add(-1)
	}
	was.missing.Each(func(i int) { p.stores[i].inTime() })
	return none
}

// partial reports whether something of a manifest, or of what it lists, is denied: then it is never complete, and
// nothing waits for it.
func (p *filler) partial(n *walk.Node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !n.Partial() && !slices.ContainsFunc(n.Children(), func(c oci.Digest) bool { return p.denying[walk.KeyOf(c)] }) {
		return false
	}
	p.denying[walk.KeyOf(n.Digest)] = true
	return true
}

// whole records an image in a store that has all of it, and reports whether it does.
func (p *filler) whole(i int, n *walk.Node) bool {
	l := p.targets.Ledger
	if l.Fault(i) != nil {
		return false
	}
	for _, b := range n.Blobs() {
		if size, ok := l.Holds(i, b.Digest); !ok || size >= 0 && b.Size >= 0 && size != b.Size {
			return false
		}
	}
	for _, c := range n.Children() {
		if !l.Complete(i, c) {
			return false
		}
	}
	if l.Complete(i, n.Digest) || !n.Digest.InStores() {
		return true
	}
	err := l.Add(p.ctx, i, inventory.Record{Digest: n.Digest, Size: n.Size, Kind: inventory.Image})
	if err != nil && (!errors.Is(err, ledger.ErrAside) || p.leave(i, err)) {
		p.notes.problem(Problem{Class: StoreInventory, Store: p.targets.Stores[i].Name(), Error: fmt.Sprintf("record image %s: %v", n.Digest, err)})
	}
	return err == nil
}

// inTime takes back that a manifest is not complete in a store; the ages stay.
func (t *tally) inTime() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.incomplete--
}

// late notes a manifest that is not complete in a store.
func (t *tally) late(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.incomplete++
	if t.newest.IsZero() || at.After(t.newest) {
		t.newest = at
	}
	if t.oldest.IsZero() || at.Before(t.oldest) {
		t.oldest = at
	}
}
