package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"time"

	"ociproxy/internal/set"
)

// Change adds one store's digests to a table.
type Change struct {
	Index    int          // the store's place in the sets of the table
	Segments []SegmentRef // oldest first
}

// buildInput is what a table is built from: what stays of the old one, and the segments that are new.
type buildInput struct {
	old  *Table
	keep [set.Max]int16 // by index in old: the store's index in the new table, or -1: drop it
	// changes are read on top of what stays. A store whose old membership is replaced is not in keep. A store that only
	// got further segments is.
	changes []Change
	limit   int  // of digests in the table; 0: as many as record numbers allow
	images  bool // the table is for images, not blobs; the changes have segments of both
	open    func(SegmentRef) (io.ReadCloser, error)
	dir     string // for the table's memory; "": anonymous memory
}

// keepNone returns a keep that leaves everything out.
func keepNone() (k [set.Max]int16) {
	for i := range k {
		k[i] = -1
	}
	return k
}

// source is one segment of the changes, with the stores that list it. A segment that many stores share is read once.
type source struct {
	ref    SegmentRef
	form   Form
	stores set.Set
	rank   [set.Max]uint16 // place among the store's segments, from 1
}

// openAtOnce bounds the segments open at once, hence files and buffers: 256 × 32 KiB. More are read in turns.
const openAtOnce = 256

// build merges everything into a new table, in bounded memory. A segment that cannot be read is a *sourceError. A
// full or read-only disk stops neither a refresh nor a reload: then the table lies in anonymous memory.
func build(in buildInput) (*Table, error) {
	begin := time.Now()
	t, err := buildTurns(in)
	if _, ok := errors.AsType[*sourceError](err); err != nil && !ok && !errors.Is(err, ErrTooMany) && in.dir != "" {
		in.dir = ""
		t, err = buildTurns(in)
	}
	if err != nil {
		return nil, err
	}
	t.took = time.Since(begin)
	return t, nil
}

func buildTurns(in buildInput) (*Table, error) {
	t := in.old
	for first := true; first || len(in.changes) > 0; first = false {
		turn, n := in, fitting(in.changes)
		turn.old, turn.changes = t, in.changes[:n]
		if !first {
			for i := range turn.keep {
				turn.keep[i] = int16(i)
			}
		}
		next, err := buildTurn(turn)
		if t != in.old {
			t.release()
		}
		if err != nil {
			return nil, err
		}
		t, in.changes = next, in.changes[n:]
	}
	return t, nil
}

// fitting returns how many of the changes fit into one turn: at least one, if there is any.
func fitting(changes []Change) int {
	distinct := map[string]bool{}
	for n, c := range changes {
		for _, s := range c.Segments {
			distinct[s.SHA256] = true
		}
		if n > 0 && len(distinct) > openAtOnce {
			return n
		}
	}
	return len(changes)
}

func buildTurn(in buildInput) (_ *Table, err error) {
	t := &Table{images: in.images}
	defer func() {
		if err != nil {
			t.release()
		}
	}()
	sources := gather(in.changes)
	if in.limit == 0 {
		in.limit = maxCount
	}
	for alg := range algorithm(algorithms) {
		b := &builder{Form: Form{alg, in.images}, keep: &in.keep, limit: in.limit - t.Len()}
		if in.old != nil {
			b.old = in.old.parts[alg]
		}
		for _, s := range sources {
			if s.form == b.Form {
				b.sources = append(b.sources, s)
			}
		}
		if t.parts[alg], err = b.run(in); err != nil {
			return nil, err
		}
		for i, n := range b.held {
			t.held[i] += n
		}
	}
	return t, nil
}

// gather lists the distinct segments of all changes.
func gather(changes []Change) []*source {
	var list []*source
	byHash := map[string]*source{}
	for _, c := range changes {
		for rank, ref := range c.Segments {
			s := byHash[ref.SHA256]
			if s == nil {
				f, _ := ref.form()
				s = &source{ref: ref, form: f}
				byHash[ref.SHA256] = s
				list = append(list, s)
			}
			s.stores.Add(c.Index)
			s.rank[c.Index] = uint16(rank) + 1
		}
	}
	return list
}

// builder makes the part of one form.
type builder struct {
	Form
	old     *part
	keep    *[set.Max]int16
	sources []*source

	oldCursor *cursor
	kept      []set.Set // by old set id: the stores of it that stay
	out       io.Writer
	block     []byte
	n         int
	limit     int // upper bound of n
	sets      setTable
	ids       map[set.Set]uint16
	members   []int // by set id: digests
	held      [set.Max]int
	lastSet   set.Set
	lastID    uint16
}

func (b *builder) run(in buildInput) (_ *part, err error) {
	cursors, closeAll, err := b.open(in.open)
	defer closeAll()
	if err != nil || len(cursors) == 0 {
		return nil, err
	}
	limit := 0
	for _, c := range cursors {
		limit += int(c.count)
	}
	limit = min(limit, b.limit) // together, the segments must not get more space than is allowed
	limit = b.alg.entryLen()*limit + 4<<indexBits(limit) + 4
	r, err := newRegion(in.dir, limit)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.abandon()
		}
	}()
	b.out, b.ids, b.lastID = r, map[set.Set]uint16{}, noID
	err = b.merge(cursors)
	runtime.KeepAlive(b.old) // until here its records were read
	if err != nil {
		return nil, err
	}
	return b.finish(r)
}

// open opens the old part and the segments.
func (b *builder) open(open func(SegmentRef) (io.ReadCloser, error)) (cursors []*cursor, closeAll func(), err error) {
	var files []io.Closer
	closeAll = func() {
		for _, f := range files {
			_ = f.Close() // it was only read
		}
	}
	if c, ok := tableCursor(b.old); ok {
		b.oldCursor = c
		cursors = append(cursors, c)
		b.kept = make([]set.Set, len(b.old.sets.sets))
		for id := range b.kept {
			b.kept[id] = remap(&b.old.sets.sets[id], b.keep)
		}
	}
	for _, s := range b.sources {
		f, err := open(s.ref)
		if err != nil {
			return nil, closeAll, &sourceError{s, err}
		}
		files = append(files, f)
		c, err := openCursor(f, 0)
		if err == nil && (c.Form != s.form || c.count != s.ref.Count) {
			err = bad("%d %v, the head says %d %v", c.count, c.Form, s.ref.Count, s.form)
		}
		if err != nil {
			return nil, closeAll, &sourceError{s, err}
		}
		c.source = s
		cursors = append(cursors, c)
	}
	return cursors, closeAll, nil
}

func (b *builder) merge(cursors []*cursor) error {
	m := newMerger(b.alg, cursors)
	for {
		group, err := m.next()
		if err != nil {
			return err
		}
		if len(group) == 0 {
			return b.flush()
		}
		for more := true; more; {
			if err := b.take(group); err != nil {
				return err
			}
			if more, err = m.alone(); err != nil {
				return err
			}
		}
	}
}

// take writes the digest that all of group are on, if any store holds it.
func (b *builder) take(group []*cursor) error {
	c := group[0]
	if len(group) > 1 {
		stores, size := b.resolve(group)
		return b.emit(c, size, &stores)
	}
	var stores set.Set
	if size := c.rec[b.alg.digestLen():]; c.source == nil {
		stores = b.stays(c)
		return b.emit(c, getSize(size), &stores)
	} else if c.kind() != Tombstone {
		return b.emit(c, getSize(size), &c.source.stores)
	}
	return nil
}

// resolve returns which stores hold the digest that all of group are on. A store's latest new segment that has the
// digest decides; if none has it, the old table decides. The size is the one that all holders agree on: one store's
// error must not affect the others.
func (b *builder) resolve(group []*cursor) (held set.Set, size int64) {
	var stays, touched set.Set
	overlap := false
	digestLen := b.alg.digestLen()
	old := noSize
	size = noSize
	for _, c := range group {
		tail := c.rec[digestLen:]
		s := c.source
		if s == nil {
			stays, old = b.stays(c), getSize(tail)
			continue
		}
		overlap = overlap || touched.Meets(&s.stores)
		touched.Or(&s.stores)
		if c.kind() != Tombstone {
			held.Or(&s.stores)
			size = agreed(size, getSize(tail))
		}
	}
	if overlap {
		held, size = latest(group, &touched, digestLen)
	}
	stays.AndNot(&touched)
	if !stays.Empty() {
		held.Or(&stays)
		size = agreed(size, old)
	}
	return held, size
}

// Special values of sizes.
const (
	noSize      int64 = -1      // not known yet
	unknownSize int64 = MaxSize // as a table stores it: the holders of a digest disagree
)

func agreed(a, b int64) int64 {
	switch a {
	case noSize, b:
		return b
	default:
		return unknownSize
	}
}

// stays returns the set of an old record's stores in the new table.
func (b *builder) stays(c *cursor) set.Set {
	id := binary.LittleEndian.Uint16(c.rec[b.alg.recordLen():])
	if id != noID {
		return b.kept[id]
	}
	stores := b.old.sets.get(id, c.number)
	return remap(&stores, b.keep)
}

// remap returns the set with every member i replaced by to[i]; members whose new index is negative are left out.
func remap(s *set.Set, to *[set.Max]int16) (out set.Set) {
	s.Each(func(i int) {
		if to[i] >= 0 {
			out.Add(int(to[i]))
		}
	})
	return out
}

// latest decides for each store separately.
func latest(group []*cursor, touched *set.Set, digestLen int) (held set.Set, size int64) {
	size = noSize
	touched.Each(func(i int) {
		var best *cursor
		for _, c := range group {
			if s := c.source; s != nil && s.rank[i] > 0 && (best == nil || s.rank[i] > best.source.rank[i]) {
				best = c
			}
		}
		if tail := best.rec[digestLen:]; best.kind() != Tombstone {
			held.Add(i)
			size = agreed(size, getSize(tail))
		}
	})
	return held, size
}

// blockLen is how many bytes are written at once.
const blockLen = 64 << 10

// emit writes the digest that c is on. A table's record begins like a record of a segment of blobs.
func (b *builder) emit(c *cursor, size int64, stores *set.Set) error {
	if stores.Empty() {
		return nil
	}
	if b.n == b.limit {
		return fmt.Errorf("%w: the inventories of all stores name more digests than are allowed: "+
			"find out who lists them, or raise limits.digests", ErrTooMany)
	}
	at, n := len(b.block), b.alg.recordLen() // without the last byte of an image's record
	b.block = append(b.block, c.rec[:n]...)
	tail := b.block[at+b.alg.digestLen():]
	putSize(tail, size)
	tail[5] = byte(Blob)
	if b.images {
		tail[5] = byte(Image)
	}
	b.block = binary.LittleEndian.AppendUint16(b.block, b.id(stores))
	b.n++
	if len(b.block) >= blockLen {
		return b.flush()
	}
	return nil
}

func (b *builder) flush() error {
	_, err := b.out.Write(b.block)
	b.block = b.block[:0]
	return err
}

// id returns the id of a set. Neighbours mostly have the same set.
func (b *builder) id(stores *set.Set) uint16 {
	if b.lastID != noID && *stores == b.lastSet {
		b.members[b.lastID]++
		return b.lastID
	}
	id, ok := b.ids[*stores]
	if !ok {
		if len(b.sets.sets) == noID {
			b.sets.beyond = append(b.sets.beyond, uint32(b.n))
			b.sets.theirs = append(b.sets.theirs, *stores)
			stores.Each(func(i int) { b.held[i]++ })
			return noID
		}
		id = uint16(len(b.sets.sets))
		b.ids[*stores] = id
		b.sets.sets = append(b.sets.sets, *stores)
		b.members = append(b.members, 0)
	}
	b.members[id]++
	b.lastSet, b.lastID = *stores, id
	return id
}

// finish writes the index behind the records and makes the part.
func (b *builder) finish(r *region) (*part, error) {
	defer r.close()
	if b.n == 0 {
		r.abandon()
		return nil, nil
	}
	for id, set := range b.sets.sets {
		set.Each(func(i int) { b.held[i] += b.members[id] })
	}
	p := &part{alg: b.alg, n: b.n, bits: indexBits(b.n), sets: b.sets}
	body := b.n * b.alg.entryLen()
	if err := r.view(func(records []byte) error { return writeIndex(r, records, b.alg.entryLen(), p.bits) }); err != nil {
		return nil, err
	}
	m, err := r.seal()
	if err != nil {
		return nil, err
	}
	p.memory, p.records, p.index = m, m.bytes[:body:body], m.bytes[body:r.n]
	m.tieTo(p)
	return p, nil
}

// indexBits returns the bits of an index in which a bucket has eight to sixteen of n records.
func indexBits(n int) uint { return uint(bits.Len(uint(n / 8))) }

func writeIndex(w io.Writer, records []byte, width int, bits uint) error {
	block := make([]byte, 0, blockLen)
	put := func(i int) error {
		block = binary.LittleEndian.AppendUint32(block, uint32(i))
		if len(block) < blockLen {
			return nil
		}
		_, err := w.Write(block)
		block = block[:0]
		return err
	}
	next := uint64(0) // the bucket whose first record comes next
	n := len(records) / width
	for i := range n {
		bucket := binary.BigEndian.Uint64(records[i*width:]) >> (64 - bits)
		for ; next <= bucket; next++ {
			if err := put(i); err != nil {
				return err
			}
		}
	}
	for ; next <= 1<<bits; next++ {
		if err := put(n); err != nil {
			return err
		}
	}
	_, err := w.Write(block)
	return err
}

// BadSegment returns the segment that could not be read during the build of a table; ok is false for any other error.
func BadSegment(err error) (ref SegmentRef, ok bool) {
	if s, ok := errors.AsType[*sourceError](err); ok && s.source != nil {
		return s.source.ref, true
	}
	return SegmentRef{}, false
}
