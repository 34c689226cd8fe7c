package reach

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"ociproxy/internal/oci"
)

// The table's shape: 61 440 lines of 128 bytes and their tags in sets of 32, less than 8 MiB. An address has two sets
// and takes the one that has room. Without room, it replaces the least recently used line in them. So the table keeps
// nearly all of the 60 000 addresses that come in [Window] at 50 a second.
const (
	ways  = 32
	sets  = 1920
	lines = ways * sets
	locks = 64 // an address's two sets share one
)

// Table is what is known about all addresses with recent requests. It takes 8 MiB, however many requests come. Safe for
// concurrent use; a request costs a lock that 960 lines share, and no allocation.
type Table struct {
	secret [2]uint64           // hides which addresses share a set
	sum    func(string) uint64 // keyed: an attacker cannot choose values that look the same
	now    func() time.Time

	locks [locks]sync.Mutex
	tags  []uint32 // by line: the address that it belongs to; 0: none
	lines []line
}

// New returns an empty table.
func New() *Table {
	seed := maphash.MakeSeed()
	return &Table{
		secret: [2]uint64{rand.Uint64() | 1, rand.Uint64()},
		sum:    func(s string) uint64 { return maphash.String(seed, s) },
		now:    time.Now,
		tags:   make([]uint32, lines),
		lines:  make([]line, lines),
	}
}

// Request is a download that the nearest candidate would answer.
type Request struct {
	// Addr is the client. An IPv4 address counts by itself, an IPv6 address as its /64.
	Addr netip.Addr
	// Digest and Span say what it asks for, Repository says where.
	Digest     oci.Digest
	Span       Span
	Repository string
	// Origin names the candidate that the client would be sent to. It must mean the same after a restart.
	Origin string
	// Last says that this candidate is canonical, and that there is none after it. The table records such a request
	// only if it repeats one that was sent to a store.
	Last bool
}

// Answer is the table's answer to a request.
type Answer struct {
	// Level says where to send the request.
	Level Level
	// Again says that the request looks like another try.
	Again bool
	// Rest says that this open span counts as the rest of the blob, because no other part of that blob was asked for.
	Rest bool
	// Event is what the request revealed about its address.
	Event Event
}

// Ask records a request and returns where to send it.
func (t *Table) Ask(r *Request) Answer {
	digest := t.sum(r.Digest.String())
	a := ask{
		repo:   t.repo(r),
		origin: uint16(fnv(r.Origin)),
		now:    t.unix(),
	}
	a.of(digest, r.Span)
	w := t.where(r.Addr)
	lock := t.lock(&w)
	lock.Lock()
	if r.Last {
		if l := t.find(&w); l == nil || !l.returns(&a) {
			lock.Unlock()
			return Answer{}
		}
	}
	l := t.line(&w, a.now)
	var out Answer
	// A client that asked for the start was counted with the whole blob, whether it resumes a broken download or
	// fetches the parts at once. Without a start, the first of several parts counts for the rest.
	out.Rest = a.kind == partAsked && r.Span.Kind == Open && !l.has(a.resume) && !l.has(part(digest, 0, -1)) && !l.has(a.any)
	out.Level, out.Again, out.Event = l.next(&a)
	lock.Unlock()
	return out
}

func (t *Table) repo(r *Request) uint16 { return uint16(t.sum(r.Repository)) | 1 }

// unix returns the time in seconds; a table works between 1970 and 2106.
func (t *Table) unix() uint32 { return uint32(t.now().Unix()) }

// Level returns where to send a request, without recording it.
func (t *Table) Level(r *Request) Level {
	to, _ := t.Look(r)
	return to
}

// Look is [Table.Level], and returns when the nearest candidate gets another chance. Later requests may change that
// time; it means nothing with [Nearest].
func (t *Table) Look(r *Request) (to Level, until time.Time) {
	w := t.where(r.Addr)
	lock := t.lock(&w)
	lock.Lock()
	defer lock.Unlock()
	l := t.find(&w)
	if l == nil || l.state != open && t.unix() >= l.until {
		return Nearest, time.Time{}
	}
	return l.at(uint16(fnv(r.Origin)), t.repo(r)), time.Unix(int64(l.until), 0)
}

// Keep forgets what the table learned about candidates that are not among origins. Call it after loading a
// configuration.
func (t *Table) Keep(origins []string) {
	known := map[uint16]bool{}
	for _, origin := range origins {
		known[uint16(fnv(origin))] = true
	}
	for set := range sets {
		lock := &t.locks[set%locks]
		lock.Lock()
		for i := set * ways; i < (set+1)*ways; i++ {
			if l := &t.lines[i]; l.state != open && !known[l.avoid] {
				*l = line{used: l.used}
			}
		}
		lock.Unlock()
	}
}

// Skip says that there is no candidate for Next: the upstream answers the request that was just asked about.
func (t *Table) Skip(addr netip.Addr) {
	w := t.where(addr)
	lock := t.lock(&w)
	lock.Lock()
	if l := t.find(&w); l != nil && l.level == Next {
		l.level = Upstream
	}
	lock.Unlock()
}

// of sets the keys of a request, and whether it asks for a blob's start.
func (a *ask) of(digest uint64, s Span) {
	a.any = part(digest, 0, 0)
	switch {
	case s.Kind == Whole:
		a.key = key(digest)
	case s.Kind == Open && s.First == 0:
		a.key, a.resume = part(digest, 0, -1), key(digest)
	case s.Kind == Open:
		a.kind, a.key, a.resume = partAsked, part(digest, s.First, -1), key(digest)
	case s.Kind == Closed && s.Last-s.First+1 >= smallest:
		a.kind, a.key = partAsked, part(digest, s.First, s.Last)
	default:
		a.kind = nothing
	}
}

func key(digest uint64) uint32 { return fold(digest) }

// part returns the key of a span of a blob. No span has last 0: that marks that any part of the blob was asked for.
func part(digest uint64, first, last int64) uint32 {
	return fold(mix(digest^uint64(first)*0x9e3779b97f4a7c15, uint64(last)|1<<63))
}

func fold(h uint64) uint32 { return uint32(h ^ h>>32) }

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	return hi ^ lo
}

// hash returns the keyed hash of the address, so that an attacker cannot choose addresses that share a set.
func (t *Table) hash(addr netip.Addr) uint64 {
	b := addr.As16()
	high := uint64(0)
	for _, c := range b[:8] {
		high = high<<8 | uint64(c)
	}
	low := uint64(0)
	if addr.Is4() || addr.Is4In6() {
		low = uint64(b[12])<<24 | uint64(b[13])<<16 | uint64(b[14])<<8 | uint64(b[15]) | 1<<32
	}
	return mix(mix(high^t.secret[0], low^t.secret[1]), t.secret[0])
}

// where is where an address may have its line.
type where struct {
	sets [2]int
	tag  uint32
}

func (t *Table) where(addr netip.Addr) where {
	h := t.hash(addr)
	lock := int(h % locks)
	return where{
		sets: [2]int{lock + locks*int(h>>8%(sets/locks)), lock + locks*int(h>>24%(sets/locks))},
		tag:  uint32(h>>32) | 1,
	}
}

// lock returns the lock of an address's line.
func (t *Table) lock(w *where) *sync.Mutex { return &t.locks[w.sets[0]%locks] }

func (t *Table) find(w *where) *line {
	for _, set := range w.sets {
		first := set * ways
		for i, have := range t.tags[first : first+ways] {
			if have == w.tag {
				return &t.lines[first+i]
			}
		}
	}
	return nil
}

// line returns the line of an address, or a fresh one when it has none.
func (t *Table) line(w *where, now uint32) *line {
	if l := t.find(w); l != nil {
		return l
	}
	at, free := t.free(w)
	if !free {
		at = t.oldest(w)
	}
	t.tags[at] = w.tag
	t.lines[at] = line{used: now}
	return &t.lines[at]
}

// free returns an unused line in the emptier of the two sets.
func (t *Table) free(w *where) (at int, ok bool) {
	most := 0
	for _, set := range w.sets {
		count, last := 0, 0
		for i := set * ways; i < (set+1)*ways; i++ {
			if t.tags[i] == 0 {
				count, last = count+1, i
			}
		}
		if count > most {
			most, at = count, last
		}
	}
	return at, most > 0
}

// oldest returns the least recently used line in the two sets. What the table learned about an address counts as used
// one hold later, so that clients that ask once do not push it out.
func (t *Table) oldest(w *where) (at int) {
	oldest := ^uint32(0)
	for _, set := range w.sets {
		for i := set * ways; i < (set+1)*ways; i++ {
			used := t.lines[i].used
			if t.lines[i].state != open {
				used += hold
			}
			if used < oldest {
				oldest, at = used, i
			}
		}
	}
	return at
}

// fnv returns a hash that is stable between processes and releases: FNV-1a. Its callers fold it.
func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>32
}
