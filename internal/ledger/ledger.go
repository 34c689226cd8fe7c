package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
)

// Store is a store as its owner has it.
type Store struct {
	Name   string // as in the configuration; its inventory must say so
	Bucket store.Bucket
	// Where returns the place of the store in the configuration, for messages; nil or "": not known.
	Where func() string
}

// Options of [Open].
type Options struct {
	// Dir is the directory of tables, of changes on their way, and of segments, which stay for the next pass. "" is a
	// temporary directory that [Ledger.Close] removes.
	Dir string
	// Logger receives errors in the background; nil logs nothing.
	Logger *slog.Logger
	// FlushRecords is how many notes about a store are written together; default 1000.
	FlushRecords int
	// FlushEvery is how long a note waits for others; default 10 s.
	FlushEvery time.Duration
	// Attempts bounds how often one change of an inventory is tried; 0 is the default of [write.Options].
	Attempts int
	// Now returns the time; default [time.Now].
	Now func() time.Time
}

// Ledger is what some stores hold. It is safe for concurrent use. Stores are named by their position.
type Ledger struct {
	opt    Options
	log    *slog.Logger
	books  []*book
	usable set.Set
	temp   *atomicfile.ScratchDir // nil: the directory is the caller's

	ctx        context.Context // of what happens in the background
	cancel     context.CancelFunc
	background sync.WaitGroup

	mu            sync.RWMutex // guards what follows, and the fields of books
	blobs, images *index
	closed        bool
}

// ErrClosed says that the ledger was closed.
var ErrClosed = errors.New("the ledger is closed")

// ErrUnusable is wrapped by every error about a store whose inventory could not be read.
var ErrUnusable = errors.New("the inventory cannot be used")

// Open reads the inventories of all stores: one request for each store, and one for each segment that is not in Dir.
// ctx also ends the ledger's background work. The error is about this machine or ctx; for a store's error see
// [Ledger.Fault].
func Open(ctx context.Context, stores []Store, opt Options) (_ *Ledger, err error) {
	l := &Ledger{opt: opt.withDefaults(), log: opt.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if len(stores) > set.Max {
		return nil, fmt.Errorf("%d stores, at most %d", len(stores), set.Max)
	}
	if l.opt.Dir == "" {
		if l.temp, err = atomicfile.MakeScratchDir("oci-proxyctl-ledger-"); err != nil {
			return nil, err
		}
		l.opt.Dir = l.temp.Path
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.removeTemp())
		}
	}()
	atomicfile.SweepTree(l.opt.Dir)
	temp := filepath.Join(l.opt.Dir, "tmp")
	if err := prepare(temp, l.opt.Now()); err != nil {
		return nil, err
	}
	holders := make([]write.Holder, len(stores))
	for i, s := range stores {
		w := write.New(BucketOf(s.Bucket), write.Options{
			Store: s.Name, TempDir: temp, Attempts: l.opt.Attempts, Now: l.opt.Now,
		})
		l.books = append(l.books, &book{index: i, name: s.Name, bucket: s.Bucket, writer: w, turn: make(chan struct{}, 1)})
		holders[i] = write.Holder{Writer: w, Index: i}
	}
	tables := filepath.Join(l.opt.Dir, "table")
	g, err := write.Gather(ctx, inventory.NewSegments(l.opt.Dir, 0, nil), holders, tables)
	if err != nil {
		return nil, fmt.Errorf("read inventories: %w", err)
	}
	l.blobs, l.images = newIndex(g.Blobs, inventory.Blob, tables), newIndex(g.Images, inventory.Image, tables)
	for i, b := range l.books {
		if g.Faults[i] != nil {
			b.fault = fmt.Errorf("store %s: %w: %w", b.name, ErrUnusable, g.Faults[i])
			if stores[i].Where != nil && stores[i].Where() != "" {
				b.fault = fmt.Errorf("%w (%s)", b.fault, stores[i].Where())
			}
			continue
		}
		l.usable.Add(i)
		b.read(g.Heads[i])
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l, nil
}

func (o Options) withDefaults() Options {
	if o.FlushRecords <= 0 {
		o.FlushRecords = 1000
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// staleTemp is the age of a change on its way that a process has left behind.
const staleTemp = 24 * time.Hour

// prepare makes a directory, and removes what a killed process has left there.
func prepare(dir string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if info, ierr := e.Info(); ierr == nil && now.Sub(info.ModTime()) > staleTemp {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func (l *Ledger) removeTemp() error {
	if l.temp == nil {
		return nil
	}
	return l.temp.Remove()
}

// Close ends the background work. Notes that were not flushed are lost.
func (l *Ledger) Close() error {
	l.mu.Lock()
	l.closed = true
	for _, b := range l.books {
		b.stopTimer()
	}
	l.mu.Unlock()
	l.cancel()
	l.background.Wait()
	return l.removeTemp()
}

// Len returns how many stores there are.
func (l *Ledger) Len() int { return len(l.books) }

// Fault returns why store i cannot be used; nil: it can. It wraps [ErrUnusable] and its cause.
func (l *Ledger) Fault(i int) error { return l.books[i].fault }

// Usable returns the stores without a fault.
func (l *Ledger) Usable() set.Set { return l.usable }

// Holds reports whether store i holds a blob, and its size; -1: unknown, since the inventories do not agree.
func (l *Ledger) Holds(i int, d oci.Digest) (size int64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	stores, size := l.blobs.get(d)
	if !stores.Has(i) {
		return 0, false
	}
	return size, true
}

// Lacking returns the usable stores that do not hold a blob.
func (l *Ledger) Lacking(d oci.Digest) set.Set { return l.others(l.blobs, d) }

// Complete reports whether store i has all of the image with this manifest.
func (l *Ledger) Complete(i int, manifest oci.Digest) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	stores, _ := l.images.get(manifest)
	return stores.Has(i)
}

// Incomplete returns the usable stores that are not known to have all of the image with this manifest.
func (l *Ledger) Incomplete(manifest oci.Digest) set.Set { return l.others(l.images, manifest) }

func (l *Ledger) others(x *index, d oci.Digest) set.Set {
	out := l.usable
	l.mu.RLock()
	defer l.mu.RUnlock()
	stores, _ := x.get(d)
	out.AndNot(&stores)
	return out
}

// Blobs returns all blobs that any usable store holds now, by digest. It does not include blobs that are added
// meanwhile.
func (l *Ledger) Blobs() (iter.Seq2[oci.Digest, inventory.Entry], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.blobs.fold(); err != nil {
		return nil, err
	}
	return l.blobs.table.All(), nil
}
