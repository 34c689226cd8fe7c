package rollup

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"sync"
	"time"

	"ociproxy/internal/traffic"
)

// Window is how far apart two requests with the same id of the same store may be, by the time in the log, to count as
// one that was logged twice.
const Window = time.Hour

// CollectorOptions are the options of a [Collector].
type CollectorOptions struct {
	// Dir is where runs are spilled; "" is the directory for temporary files. They have no names, so that a killed
	// process leaves nothing.
	Dir string
	// Memory is how many bytes groups and fingerprints may take before they are spilled; default 96 MiB.
	Memory int64
	// Parts is how many goroutines add; default 1.
	Parts int
	// Top is how many digests a month are kept, by bytes; the rest is one object of each client place, with the digest
	// "". Default 10 000.
	Top int
}

const (
	defaultMemory = 96 << 20
	defaultTop    = 10_000
	// maxRuns is about how many runs are merged at once: each takes a buffer of memory.
	maxRuns = 512
)

// Request is one line of a log to be counted.
type Request struct {
	Key   *traffic.Key
	Count float64 // the line's weight
	Bytes float64 // weighted
	// ID is the id of the request, which is the same when a line was delivered twice; "" if the log has none.
	ID string
	At time.Time
	// Digest is the digest of the blob, "" if it is not known or does not count.
	Digest string
}

// Collector adds up requests by [traffic.Key], and by digest, month and client place. It notices lines that were
// delivered twice. Its memory is bounded, whatever it is given: it spills to disk. Each goroutine adds to its own
// [Part]. Then one calls Finish.
type Collector struct {
	opt     CollectorOptions
	ids     *ids
	seed    maphash.Seed
	parts   []*Part
	extra   [2]*table // corrections of rows and objects whose groups were spilled
	counts  Counts
	spilled int64
	once    sync.Once
}

// NewCollector makes a collector. Call Close at the end.
func NewCollector(opt CollectorOptions) *Collector {
	opt.Memory, opt.Parts, opt.Top = cmp.Or(opt.Memory, defaultMemory), max(opt.Parts, 1), cmp.Or(opt.Top, defaultTop)
	c := &Collector{opt: opt, ids: &ids{}, seed: maphash.MakeSeed()}
	share, fan := opt.Memory/int64(opt.Parts), max(8, maxRuns/2/opt.Parts)
	for range opt.Parts {
		c.parts = append(c.parts, &Part{
			c: c, rows: newTable(c.ids, opt.Dir, share/4, fan), objects: newTable(c.ids, opt.Dir, share/4, fan),
			prints: newPrints(opt.Dir, share/2, fan), stores: map[string]uint64{},
		})
	}
	for i := range c.extra {
		c.extra[i] = newTable(c.ids, opt.Dir, share/4, fan)
	}
	return c
}

// Part is the part of a collector that one goroutine adds to. Its Counts are for the caller, who knows what became of
// the lines that were not added.
type Part struct {
	Counts Counts

	c             *Collector
	rows, objects *table
	prints        *prints
	stores        map[string]uint64 // hashes of stores' names
	key           []byte
}

// Part returns the part with a number from 0.
func (c *Collector) Part(i int) *Part { return c.parts[i] }

// Add counts a request. The error is about the disk.
func (p *Part) Add(r *Request) error {
	s := sums{requests: r.Count, bytes: r.Bytes, squares: r.Bytes * r.Bytes, lines: 1}
	p.key = rowKey(p.key[:0], r.Key)
	id, err := p.rows.add(p.key, &s)
	if err != nil {
		return err
	}
	object := uint32(noGroup)
	if r.Digest != "" {
		p.key = objectKey(p.key[:0], r.Key, r.Digest)
		if object, err = p.objects.add(p.key, &s); err != nil {
			return err
		}
	}
	p.Counts.Counted++
	if r.ID == "" {
		p.Counts.NoID++
		return nil
	}
	at := uint32(0)
	if t := r.At.Unix(); t > 0 && t < math.MaxUint32 {
		at = uint32(t)
	}
	return p.prints.add(print{id: p.hash(r.Key.Store, r.ID), bytes: r.Bytes, count: r.Count, at: at, group: id, object: object})
}

// hash hashes an id of a store. The seed is different in each run, so that a client that can choose ids cannot make two
// that look the same.
func (p *Part) hash(store, id string) uint64 {
	of, ok := p.stores[store]
	if !ok {
		of = maphash.String(p.c.seed, store) * 0x9e3779b97f4a7c15
		if len(p.stores) < 1024 {
			p.stores[store] = of
		}
	}
	return maphash.String(p.c.seed, id) ^ of
}

// Finish takes duplicates away, and returns what became of the lines, over all parts. Then [Collector.Rows] and
// [Collector.Objects] may be called.
func (c *Collector) Finish(ctx context.Context) (*Counts, error) {
	var all []cursor[print]
	var work sync.WaitGroup
	for _, p := range c.parts {
		work.Go(p.prints.sort)
	}
	work.Wait()
	for _, p := range c.parts {
		all = append(all, p.prints.cursors()...)
		c.counts.Add(&p.Counts)
	}
	err := c.duplicates(ctx, newMerge(comparePrints, all))
	total := c.counts.Counted - c.counts.NoID
	c.counts.Counted -= c.counts.Duplicates
	// Two of n ids have the same 64 bits with this probability, whatever the times in the log are.
	c.counts.FalseDuplicates = float64(total) * float64(total) / math.Exp2(65)
	for _, p := range c.parts {
		c.spilled += p.prints.spool.bytes + p.rows.spool.bytes + p.objects.spool.bytes
		p.prints.spool.close()
		p.prints.now = nil
	}
	return &c.counts, err
}

// Spilled is how many bytes were written to disk.
func (c *Collector) Spilled() int64 { return c.spilled }

func (c *Collector) duplicates(ctx context.Context, m *merge[print]) error {
	var kept, p print
	begun := false
	for n := 0; ; n++ {
		if n%65536 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch err := m.next(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if !begun || p.id != kept.id || p.at-kept.at > uint32(Window/time.Second) {
			kept, begun = p, true
			continue
		}
		c.counts.Duplicates++
		s := sums{requests: p.count, bytes: p.bytes, squares: p.bytes * p.bytes, lines: 1}
		if err := c.takeAway(0, p.group, &s); err != nil {
			return err
		}
		if err := c.takeAway(1, p.object, &s); err != nil {
			return err
		}
	}
}

// takeAway subtracts from a group. The key of a group that was spilled is read again.
func (c *Collector) takeAway(kind int, id uint32, s *sums) error {
	if id == noGroup {
		return nil
	}
	g, i := c.ids.find(id)
	if g.file == nil {
		g.sums[i].subtract(s)
		return nil
	}
	key, err := g.key(i)
	if err != nil {
		return err
	}
	minus := sums{}
	minus.subtract(s)
	_, err = c.extra[kind].add(key, &minus)
	return err
}

// Close frees what the collector holds. It may be called at any time, and again.
func (c *Collector) Close() {
	c.once.Do(func() {
		for _, p := range c.parts {
			p.rows.close()
			p.objects.close()
			p.prints.spool.close()
		}
		for _, t := range c.extra {
			t.close()
		}
	})
}
