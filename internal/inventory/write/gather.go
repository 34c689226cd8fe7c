package write

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/set"
	"ociproxy/internal/wait"
)

// Holder is one store whose inventory its owner reads, through its bucket.
type Holder struct {
	Writer *Writer
	Index  int // the store's place in the sets of the tables, 0 to 255
}

// Gathered is what the inventories of several stores say.
type Gathered struct {
	Blobs  *inventory.Table
	Images *inventory.Table // by manifest: the stores that have all of the image; sizes are the manifests'
	// Heads are by the position of the holder; nil where there is no inventory yet, or none that can be read.
	Heads []*inventory.Head
	// Faults are by the position of the holder; nil: its inventory is completely in the tables. A store with a fault
	// is in none.
	Faults []error
}

// headsAtOnce bounds the heads read at once.
const headsAtOnce = 32

// Gather reads the inventories of all holders into two tables, with one request for each store and one for each
// segment that is not in the cache. A store that cannot be read does not affect the others. dir is for the tables'
// memory, "" makes them anonymous. The error is ctx's, or says that no table can be built at all.
func Gather(ctx context.Context, segments *inventory.Segments, holders []Holder, dir string) (*Gathered, error) {
	g := &Gathered{Heads: make([]*inventory.Head, len(holders)), Faults: make([]error, len(holders))}
	var wg sync.WaitGroup
	limit := make(chan struct{}, headsAtOnce)
	held := segments.Hold()
	defer segments.DropMemory() // the tables have the content
	defer held.Release()
	for i, h := range holders {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			g.Heads[i], g.Faults[i] = h.read(ctx, held)
		})
	}
	wg.Wait()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := g.build(segments, holders, dir)
		if err == nil {
			segments.Retain(func(sha256 string) bool {
				return slices.ContainsFunc(g.Heads, func(h *inventory.Head) bool { return h != nil && h.Has(sha256) })
			}, time.Now())
			return g, nil
		}
		ref, ok := inventory.BadSegment(err)
		if !ok {
			return nil, err
		}
		segments.Check(ref)
		for i, h := range g.Heads {
			if h != nil && h.Has(ref.SHA256) {
				g.Heads[i], g.Faults[i] = nil, err
			}
		}
	}
}

// read reads a head and brings its segments into the cache, where they are held.
func (h Holder) read(ctx context.Context, held *inventory.Hold) (*inventory.Head, error) {
	head, err := h.head(ctx)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, ref := range head.Segments {
		if err := held.Fetch(ctx, ownSite{h.Writer.bucket}, ref); err != nil {
			return nil, err
		}
	}
	return head, nil
}

// headPatience bounds the reading of a head, tries included: all other stores wait for a store that does not answer.
const headPatience = 30 * time.Second

func (h Holder) head(ctx context.Context) (head *inventory.Head, err error) {
	err = wait.Within(ctx, patience(ctx), func(ctx context.Context) (err error) {
		head, err = h.Writer.Head(ctx)
		return err
	})
	return head, err
}

func (g *Gathered) build(segments *inventory.Segments, holders []Holder, dir string) error {
	var changes []inventory.Change
	for i, h := range g.Heads {
		if h != nil {
			changes = append(changes, inventory.Change{Index: holders[i].Index, Segments: h.Segments})
		}
	}
	var err error
	if g.Blobs, err = new(inventory.Table).With(dir, set.Set{}, changes, segments.Open); err != nil {
		return err
	}
	g.Images, err = inventory.NewImages().With(dir, set.Set{}, changes, segments.Open)
	return err
}

// ownSite is the side of an inventory that only its owner can read.
type ownSite struct{ bucket Bucket }

// Where implements [inventory.Origin].
func (s ownSite) Where(ref inventory.SegmentRef) string { return inventory.SegmentPrefix + ref.SHA256 }

// Open implements [inventory.Origin].
func (s ownSite) Open(ctx context.Context, ref inventory.SegmentRef) (io.ReadCloser, error) {
	body, _, err := s.bucket.Get(ctx, s.Where(ref))
	return body, err
}

// Extend returns a table with further records of some stores. Of the stores in without, it first forgets what t says.
// The records of one store are in any order. Of several records of one digest the last counts, and records that are
// not of the table's class do not count. t does not change.
func Extend(
	t *inventory.Table, dir string, without set.Set, more map[int][]inventory.Record,
) (*inventory.Table, error) {
	made := map[string]*spool{} // stores that get the same records share a spool
	defer func() {
		for _, s := range made {
			s.close()
		}
	}()
	var changes []inventory.Change
	for i, records := range more {
		spools, err := spoolRecords("", records)
		if err != nil {
			return nil, err
		}
		var refs []inventory.SegmentRef
		for _, s := range spools {
			if err = errors.Join(err, s.seal(0)); made[s.ref.SHA256] != nil {
				s.close()
			} else {
				made[s.ref.SHA256] = s
			}
			refs = append(refs, s.ref)
		}
		if err != nil {
			return nil, err
		}
		changes = append(changes, inventory.Change{Index: i, Segments: refs})
	}
	return t.With(dir, without, changes, func(ref inventory.SegmentRef) (io.ReadCloser, error) {
		return io.NopCloser(made[ref.SHA256].body()), nil
	})
}
