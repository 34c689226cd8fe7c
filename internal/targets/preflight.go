package targets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// Probe is the blob that shows whether a store's public URL leads to its bucket: the empty JSON object, which is the config of
// many artifacts (image-spec, "Guidance for an Empty Descriptor"). It stays, and is in the inventory like any other.
const Probe = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

const probeText = "{}"

// staleUpload is how old an upload must be to count as abandoned: no blob takes that long.
const staleUpload = 24 * time.Hour

var probeDigest = func() oci.Digest {
	d, err := oci.ParseDigest(Probe)
	if err != nil {
		panic(err)
	}
	return d
}()

// Fit remembers which stores this process found fit to be written to, and which blobs it wrote there without success.
// The zero value is empty. Sets that are opened one after the other, or at the same time, may share it.
type Fit struct {
	mu  sync.Mutex
	fit map[string]bool // by name and bucket
	of  map[string]*store.Learned

	hidden hidden
}

// learned is what is known of a store's server.
func (f *Fit) learned(s *Store) *store.Learned {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = map[string]*store.Learned{}
	}
	key := s.Name() + " " + s.Config.Bucket
	if f.of[key] == nil {
		f.of[key] = new(store.Learned)
	}
	return f.of[key]
}

func (f *Fit) has(s *Store) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fit[s.Name()+" "+s.Config.Bucket]
}

func (f *Fit) add(s *Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fit == nil {
		f.fit = map[string]bool{}
	}
	f.fit[s.Name()+" "+s.Config.Bucket] = true
}

// ErrUnready is in every error about a store that was found not fit to be written to.
var ErrUnready = errors.New("the store cannot be written")

type unready struct{ error }

func (u unready) Is(target error) bool { return target == ErrUnready }
func (u unready) Unwrap() error        { return u.error }

// examination is what is known of a store before it is written to.
type examination struct {
	turn chan struct{} // who holds it may find out
	done bool
	err  error
}

func newExamination() examination { return examination{turn: make(chan struct{}, 1)} }

// again forgets a failure: the operator may have fixed it.
func (e *examination) again() {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	if e.err != nil {
		e.done, e.err = false, nil
	}
}

// fitFor examines, at the same time, the stores of need that were not examined yet. It returns the fit stores, and
// the results for the others.
func (f *Set) fitFor(ctx context.Context, need set.Set) (fit set.Set, unfit []Result) {
	var mu sync.Mutex
	fit = need // places that are no stores are not examined
	var g errgroup.Group
	for i := range f.Stores {
		if !need.Has(i) {
			continue
		}
		g.Go(func() error {
			if err := f.Preflight(ctx, i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				fit.Remove(i)
				unfit = append(unfit, Result{Target: i, Err: err})
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return none
	return fit, unfit
}

// Preflight makes sure that a store can be written to. It aborts uploads that were begun more than a day ago and
// never finished. The bucket checks itself. Then an anonymous client that asks the store's public URL, and the URL of
// its inventory, must get what was just written. A good result is remembered for the life of the process, a bad one
// until the next [Set.Begin]. The error is [ErrUnready], and wraps [store.ErrUnfit] or [store.ErrDenied] when the
// store is at fault.
func (f *Set) Preflight(ctx context.Context, i int) error {
	s := f.Stores[i]
	e := &s.examination
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-e.turn }()
	if e.done || f.fit.has(s) {
		return e.err
	}
	err := f.examine(ctx, i)
	if err != nil && ctx.Err() != nil {
		if last, ok := errors.AsType[*wait.CutShort](err); ok { // why there was no answer all the time
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
		return context.Cause(ctx) // nothing was learned
	}
	e.done = true
	if err != nil {
		e.err = unready{s.located(err)}
		return e.err
	}
	f.fit.add(s)
	return nil
}

// Look is the part of [Set.Preflight] that writes nothing. It finds out whether the bucket exists and is the one
// that the config means. It does not find out whether the bucket may be written to, or whether anonymous clients can
// read it. It remembers nothing.
func (f *Set) Look(ctx context.Context, i int) error {
	if err := f.Ledger.Fault(i); err != nil {
		return err
	}
	if err := f.Stores[i].Bucket.Check(ctx, ""); err != nil {
		return unready{f.Stores[i].located(err)}
	}
	return nil
}

func (f *Set) examine(ctx context.Context, i int) error {
	if err := f.Ledger.Fault(i); err != nil {
		return err
	}
	s := f.Stores[i]
	if c, ok := s.Bucket.(store.Cleaner); ok {
		for _, prefix := range []string{store.BlobPrefix, store.InventoryPrefix} {
			n, err := c.Clean(ctx, prefix, staleUpload)
			if err != nil {
				f.log.Warn("unfinished uploads are not removed", "store", s.Name(), "error", err)
				break
			}
			if n > 0 {
				f.log.Info("unfinished uploads removed", "store", s.Name(), "uploads", n)
			}
		}
	}
	// The name is of this process alone: others may examine the same bucket now.
	if err := s.Bucket.Check(ctx, store.InventoryPrefix+"check/"+rand.Text()+"/"); err != nil {
		return err
	}
	if err := f.showsBlobs(ctx, s); err != nil {
		return err
	}
	if err := f.Ledger.Add(ctx, i, inventory.Record{Digest: probeDigest, Size: int64(len(probeText)), Kind: inventory.Blob}); err != nil {
		return fmt.Errorf("record the probe: %w", err)
	}
	return f.showsInventory(ctx, i)
}

// showsBlobs writes the probe, unless it is there, and makes sure that anonymous clients get it. A probe that was
// there before may have headers or rights that another party chose, and these may be the fault: then it is written
// again.
func (f *Set) showsBlobs(ctx context.Context, s *Store) error {
	key, text := store.BlobKey(probeDigest), store.Bytes([]byte(probeText))
	_, err := s.Bucket.Put(ctx, key, text, store.BlobHeader, "")
	if err == nil {
		return f.shows(ctx, s, true)
	}
	if !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write a probe: %w", err)
	}
	wrong := f.shows(ctx, s, false)
	if wrong == nil || ctx.Err() != nil {
		return wrong
	}
	there, err := s.Bucket.Head(ctx, key)
	if err == nil {
		_, err = store.Replace(ctx, s.Bucket, key, text, store.BlobHeader, there.Version)
	}
	if err != nil {
		return fmt.Errorf("%w; and the probe, which was there before, cannot be written again: %w", wrong, err)
	}
	return f.shows(ctx, s, true)
}
