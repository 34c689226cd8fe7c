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

// The table's shape: 99 840 lines of 84 bytes in sets of 32, 8 MiB. An address has one set; the line in it that was not
// used longest makes room. At 50 new addresses a second, 60 000 in [Window], a set gets 19 of them on
// average, and 33 or more in one of 500 windows.
const (
	ways  = 32
	sets  = 3118
	lines = ways * sets
	locks = 64
)

// Table is what is known of all addresses that asked lately: 8 MiB, whatever comes. Safe for concurrent use; a
// request costs a lock that 1 560 lines share, and no allocation.
type Table struct {
	secret [2]uint64 // hides which addresses share a set
	seed   maphash.Seed
	now    func() time.Time

	locks [locks]sync.Mutex
	tags  []uint32 // by line: which address it is; 0: none
	lines []line
}

// New returns an empty table.
func New() *Table {
	return &Table{
		secret: [2]uint64{rand.Uint64() | 1, rand.Uint64()},
		seed:   maphash.MakeSeed(),
		now:    time.Now,
		tags:   make([]uint32, lines),
		lines:  make([]line, lines),
	}
}

// Request is a download that would be answered with the nearest candidate.
type Request struct {
	// Addr is the client. An IPv4 address counts whole, an IPv6 address as its /64.
	Addr netip.Addr
	// Digest and Span say what it asks for, Repository where.
	Digest     oci.Digest
	Span       Span
	Repository string
	// Origin names the candidate that the client would be sent to. It must mean the same after a restart.
	Origin string
}

// Answer is what the table says of a request.
type Answer struct {
	// Level says where to send it.
	Level Level
	// Again: it looks like another try.
	Again bool
	// Rest: an open span that is counted as the rest of the blob, because nothing else of that blob was asked for.
	Rest bool
	// Event is what it made of its address.
	Event Event
}

// Ask notes a request and says where to send it.
func (t *Table) Ask(r *Request) Answer {
	h := t.hash(r.Addr)
	digest := maphash.String(t.seed, r.Digest.String())
	a := ask{
		repo:   uint16(maphash.String(t.seed, r.Repository)) | 1,
		origin: uint16(fnv(r.Origin)),
		now:    t.unix(),
		random: rand.Uint32(),
	}
	a.of(digest, r.Span)
	set, tag := place(h)
	lock := &t.locks[set%locks]
	lock.Lock()
	l := t.line(set, tag, a.now)
	var out Answer
	// Whoever asked for the start was counted with all of it, whether it goes on from where it was cut or fetches the
	// parts at once; without a start, the first of several parts counts for the rest.
	out.Rest = a.kind == partAsked && r.Span.Kind == Open && !l.has(a.resume) && !l.has(part(digest, 0, -1)) && !l.has(a.any)
	out.Level, out.Again, out.Event = l.next(&a)
	lock.Unlock()
	return out
}

// unix is the time in seconds; a table is not used before 1970 or after 2106.
func (t *Table) unix() uint32 { return uint32(t.now().Unix()) }

// Level is where the address of a request is sent, without noting the request.
func (t *Table) Level(r *Request) Level {
	set, tag := place(t.hash(r.Addr))
	lock := &t.locks[set%locks]
	lock.Lock()
	defer lock.Unlock()
	if l := t.find(set, tag); l != nil {
		return l.at(uint16(fnv(r.Origin)))
	}
	return Nearest
}

// Skip says that there is no candidate for Next: what was just asked is answered by the upstream.
func (t *Table) Skip(addr netip.Addr) {
	set, tag := place(t.hash(addr))
	lock := &t.locks[set%locks]
	lock.Lock()
	if l := t.find(set, tag); l != nil && l.level == Next {
		l.level = Upstream
	}
	lock.Unlock()
}

// of fills in what is asked: which key it has, and whether it is a blob's start.
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

// part is the key of a span of a blob. No span has last 0: it marks that any part of the blob was asked for.
func part(digest uint64, first, last int64) uint32 {
	return fold(mix(digest^uint64(first)*0x9e3779b97f4a7c15, uint64(last)|1<<63))
}

func fold(h uint64) uint32 { return uint32(h ^ h>>32) }

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	return hi ^ lo
}

// hash is the address, keyed, so that nobody outside can choose addresses that share a set.
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

// place is the set of an address and its tag there.
func place(h uint64) (set int, tag uint32) {
	hi, _ := bits.Mul64(h, sets)
	return int(hi), uint32(h) | 1
}

func (t *Table) find(set int, tag uint32) *line {
	first := set * ways
	for i, have := range t.tags[first : first+ways] {
		if have == tag {
			return &t.lines[first+i]
		}
	}
	return nil
}

// line is the line of an address, a fresh one when it has none. What was learnt of an address is kept a hold
// longer than what was only seen, so that strangers who ask once do not push it out.
func (t *Table) line(set int, tag uint32, now uint32) *line {
	if l := t.find(set, tag); l != nil {
		return l
	}
	first := set * ways
	at, worth := first, ^uint32(0)
	for i, have := range t.tags[first : first+ways] {
		if have == 0 {
			at = first + i
			break
		}
		l := &t.lines[first+i]
		used := l.used
		if l.state != open {
			used += hold
		}
		if used < worth {
			at, worth = first+i, used
		}
	}
	t.tags[at] = tag
	t.lines[at] = line{used: now}
	return &t.lines[at]
}

// fnv is stable between processes and releases: FNV-1a, folded by its user.
func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>32
}
