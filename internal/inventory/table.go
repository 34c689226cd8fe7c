package inventory

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"iter"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

// Entry is what a table says about one digest.
type Entry struct {
	Stores set.Set // those that hold it; never empty
	// Size is in bytes; -1: unknown, because the inventories of the stores that hold it do not agree. Code that adds
	// up, compares or counts sizes must skip those. The size is known again when all these inventories have been read
	// again and agree.
	Size int64
	Kind Kind
}

// Table says for every digest that any store holds, which stores hold it. It is immutable and safe for concurrent
// use; look-ups take no lock and do not allocate. Its records lie outside the Go heap. That memory is released when
// the garbage collector finds that the table is no longer used. The zero value and nil are empty tables.
type Table struct {
	parts  [algorithms]*part
	held   [set.Max]int
	images bool // the table is for images, not blobs
	took   time.Duration
}

// part is the table of one algorithm: records, then the index.
//
//	record: digest (32 or 64) · size (5, all ones: unknown) · kind (1) · id of the set of stores (2, little endian)
//	index:  for every prefix of bits bits, the number of the first record not below it (4, little endian); the count
type part struct {
	alg     algorithm
	n       int
	bits    uint // leading bits of the digest that select a bucket
	records []byte
	index   []byte
	sets    setTable
	memory  *mapping
}

// A table's record is a segment's record, then the id of a set.
func (a algorithm) entryLen() int { return a.recordLen() + 2 }

// NewImages makes an empty table of images: [Table.With] adds images to it, not blobs.
func NewImages() *Table { return &Table{images: true} }

// With returns a table with further segments of some stores. Of the stores in without, it first forgets what t says.
// Segments that are not of the table's class do not count. open reads a segment; when one cannot be read,
// [BadSegment] extracts it from the error. dir is for the table's memory, "" makes it anonymous. t does not change.
func (t *Table) With(
	dir string, without set.Set, changes []Change, open func(SegmentRef) (io.ReadCloser, error),
) (*Table, error) {
	in := buildInput{old: t, keep: keepNone(), changes: changes, images: t.images, open: open, dir: dir}
	for i := range in.keep {
		if !without.Has(i) {
			in.keep[i] = int16(i)
		}
	}
	return build(in)
}

// Lookup returns what is known about d.
func (t *Table) Lookup(d oci.Digest) (Entry, bool) {
	if t == nil {
		return Entry{}, false
	}
	s := d.String()
	switch {
	case len(s) == 7+64 && s[:7] == "sha256:":
		if p := t.parts[sha256Digests]; p != nil {
			var raw [32]byte
			unhex(raw[:], s[7:])
			return p.lookup(raw[:])
		}
	case len(s) == 7+128 && s[:7] == "sha512:":
		if p := t.parts[sha512Digests]; p != nil {
			var raw [64]byte
			unhex(raw[:], s[7:])
			return p.lookup(raw[:])
		}
	}
	return Entry{}, false
}

// Len counts the digests.
func (t *Table) Len() int {
	n := 0
	for p := range t.each() {
		n += p.n
	}
	return n
}

// Bytes returns the memory that the table takes, on the heap and outside.
func (t *Table) Bytes() int64 {
	n := int64(0)
	for p := range t.each() {
		n += int64(len(p.records)+len(p.index)) + p.sets.bytes()
	}
	return n
}

// Took returns how long it took to build the table.
func (t *Table) Took() time.Duration {
	if t == nil {
		return 0
	}
	return t.took
}

// Held counts the digests that store i holds.
func (t *Table) Held(i int) int {
	if t == nil {
		return 0
	}
	return t.held[i]
}

// All returns every digest, sha256 first, each algorithm in ascending order.
func (t *Table) All() iter.Seq2[oci.Digest, Entry] {
	return func(yield func(oci.Digest, Entry) bool) {
		for p := range t.each() {
			for i := range p.n {
				d, e := p.at(i)
				if !yield(d, e) {
					return
				}
			}
		}
	}
}

// Prefix returns the digests whose text begins with prefix, in ascending order. prefix is an algorithm and perhaps some
// digits ("sha256:0a").
func (t *Table) Prefix(prefix string) iter.Seq2[oci.Digest, Entry] {
	return func(yield func(oci.Digest, Entry) bool) {
		for p := range t.each() {
			digits, ok := strings.CutPrefix(prefix, p.alg.prefix())
			if !ok {
				continue
			}
			from := sort.Search(p.n, func(i int) bool { return hex.EncodeToString(p.digest(i)) >= digits })
			for i := from; i < p.n; i++ {
				d, e := p.at(i)
				if !strings.HasPrefix(d.Hex(), digits) || !yield(d, e) {
					return
				}
			}
		}
	}
}

// sampleSteps bounds how many records one call of Sample looks at.
const sampleSteps = 4096

// Sample returns a digest that accept accepts, such as "held by store 3 and small". seed selects where it starts:
// pass a random one. It looks at a bounded number of records, so it may find none where few match.
func (t *Table) Sample(seed uint64, accept func(Entry) bool) (oci.Digest, Entry, bool) {
	n := t.Len()
	if n == 0 {
		return oci.Digest{}, Entry{}, false
	}
	i := int(seed % uint64(n))
	for range min(n, sampleSteps) {
		if d, e := t.at(i); accept(e) {
			return d(), e, true
		}
		if i++; i == n {
			i = 0
		}
	}
	return oci.Digest{}, Entry{}, false
}

// at returns record i of all. The caller makes the digest's text, if it needs it, because that allocates.
func (t *Table) at(i int) (func() oci.Digest, Entry) {
	for p := range t.each() {
		if i < p.n {
			return func() oci.Digest { d, _ := p.at(i); return d }, p.entry(i)
		}
		i -= p.n
	}
	panic("inventory: record out of range")
}

func (t *Table) each() iter.Seq[*part] {
	return func(yield func(*part) bool) {
		if t == nil {
			return
		}
		for _, p := range t.parts {
			if p != nil && !yield(p) {
				return
			}
		}
	}
}

// release frees the table's memory at once. Use it only for tables that no other code has seen.
func (t *Table) release() {
	for p := range t.each() {
		p.memory.release()
	}
}

// crowded is more records than a bucket of real digests ever has: sixteen are usual.
const crowded = 128

// lookup finds a bucket by the index, which is small enough to stay in a near cache. It guesses the place in the bucket
// from the digest. Hashes are spread evenly, so the guess is close to the record, mostly one cache line away. The
// function must keep p alive until it has read its last byte: the memory is freed with p.
func (p *part) lookup(raw []byte) (Entry, bool) {
	key := binary.BigEndian.Uint64(raw)
	bucket := key >> (64 - p.bits)
	lo := int(binary.LittleEndian.Uint32(p.index[4*bucket:]))
	hi := int(binary.LittleEndian.Uint32(p.index[4*bucket+4:]))
	if lo == hi {
		return Entry{}, false
	}
	var i int
	if n := hi - lo; n <= crowded {
		i = lo + int((key<<p.bits>>32)*uint64(n)>>32)
		for i > lo && p.key(i) >= key {
			i--
		}
	} else {
		i = lo + sort.Search(n, func(i int) bool { return !below(p.digest(lo+i), raw) })
	}
	for ; i < hi; i++ {
		k := p.key(i)
		if k > key {
			break
		}
		if k == key && bytes.Equal(p.digest(i)[8:], raw[8:]) {
			return p.entry(i), true
		}
	}
	runtime.KeepAlive(p)
	return Entry{}, false
}

// key returns the start of record i's digest.
func (p *part) key(i int) uint64 { return binary.BigEndian.Uint64(p.records[i*p.alg.entryLen():]) }

func (p *part) digest(i int) []byte {
	at := i * p.alg.entryLen()
	return p.records[at : at+p.alg.digestLen()]
}

func (p *part) entry(i int) Entry {
	width, digestLen := p.alg.entryLen(), p.alg.digestLen()
	tail := p.records[i*width+digestLen : i*width+width]
	e := Entry{
		Size:   getSize(tail),
		Kind:   Kind(tail[5]),
		Stores: p.sets.get(binary.LittleEndian.Uint16(tail[6:]), i),
	}
	if e.Size == unknownSize {
		e.Size = -1
	}
	runtime.KeepAlive(p)
	return e
}

func (p *part) at(i int) (oci.Digest, Entry) {
	d := p.alg.digest(p.digest(i))
	return d, p.entry(i)
}

// setTable gives sets of stores short ids. Nearly all digests share a few sets, so two bytes are enough. If there are
// more sets than ids, the remaining ones are stored for each digest.
type setTable struct {
	sets   []set.Set // by id
	beyond []uint32  // numbers of records whose set has no id, ascending
	theirs []set.Set // the sets of these records
}

// noID marks a record whose set is found by the record's number.
const noID = 1<<16 - 1

func (s *setTable) get(id uint16, record int) set.Set {
	if id != noID {
		return s.sets[id]
	}
	i, _ := slices.BinarySearch(s.beyond, uint32(record))
	return s.theirs[i]
}

func (s *setTable) bytes() int64 {
	return int64(cap(s.sets)+cap(s.theirs))*int64(len(set.Set{})*8) + int64(cap(s.beyond))*4
}
