package proxy

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
)

// A tag may point to another image tomorrow, and a replica learns of that later than the canonical upstream. A client
// that alternates between the two sees new, old, new. So stays remembers where a client network's requests for a tag
// were sent. It says when they may go to another replica: when that replica cannot be behind what the network has
// seen.

// The table's shape: 32 768 stays of 32 bytes, 1 MiB. A stay belongs to one set. The least recently used stay of the
// set makes room.
const (
	stayWays  = 4
	staySets  = 1 << 13
	stayLocks = 64
	// compareSlots is how many comparisons are remembered, by replica and tag; 96 KiB. A newer one replaces the slot.
	compareSlots = 1 << 12
	// compareEvery bounds how often a tag of a replica is compared.
	compareEvery = 10 * time.Second
	// mustReturn times its lag is when a replica gets clients again although it could not be compared.
	mustReturn = 4
)

// moment is a time since the start, in nanoseconds; zero is before the start.
type moment int64

// stay is where a network is sent for a tag.
type stay struct {
	key, origin uint64 // hashes; key 0: none
	since, last moment // first and last time sent there
}

// comparison is the result for a tag of a replica.
type comparison struct {
	key   uint64
	tried moment // when it was last begun
	asked moment // of the last that ended: neither upstream was asked earlier
	found existence.Comparison
}

// stays is the table. Safe for concurrent use.
type stays struct {
	seed maphash.Seed
	now  func() moment

	locks [stayLocks]sync.Mutex
	sets  [staySets][stayWays]stay

	mu       sync.Mutex
	compared [compareSlots]comparison
}

func newStays() *stays {
	start := time.Now()
	now := func() moment { return 1 + moment(time.Since(start)) }
	return &stays{seed: maphash.MakeSeed(), now: now}
}

// key returns the key of a tag, or of a list of tags, for a client network.
func (s *stays) key(network netip.Prefix, req *oci.Request) uint64 {
	a := network.Addr().As16()
	return (maphash.Bytes(s.seed, a[:])*31 + s.tag(req)) | 1
}

// tag returns a key for what req names, for any client.
func (s *stays) tag(req *oci.Request) uint64 {
	h := maphash.String(s.seed, req.Name) * 0x9e3779b97f4a7c15
	return (h ^ maphash.String(s.seed, req.Tag)*31 + uint64(req.Kind)) | 1
}

func (s *stays) origin(origin string) uint64 { return maphash.String(s.seed, origin) }

// plan is where a request would go, and what decides whether it may go there.
type plan struct {
	key       uint64 // of the stay
	tag       uint64
	origin    uint64        // of the upstream that would get it
	lag       time.Duration // of that upstream
	canonical bool          // it is the canonical one
	peek      bool          // change nothing
}

// claim returns where a request is sent. Either it goes where p says, and the stay is there from now on, or it goes
// where the network already is. compare says that the replica that p names may be compared.
func (s *stays) claim(p *plan) (origin uint64, compare bool) {
	set := p.key >> 8 % staySets
	lock := &s.locks[set%stayLocks]
	lock.Lock()
	defer lock.Unlock()
	now := s.now()
	e := find(&s.sets[set], p.key)
	if e.key == p.key && e.origin != p.origin && !p.canonical {
		c := s.comparison(p.tag ^ p.origin)
		if !e.over(now, p.lag, &c) {
			if !p.peek {
				e.last = now
			}
			return e.origin, now-e.since >= moment(p.lag/2)
		}
	}
	switch {
	case p.peek:
	case e.key == p.key && e.origin == p.origin:
		e.last = now
	default:
		*e = stay{key: p.key, origin: p.origin, since: now, last: now}
	}
	return p.origin, false
}

// find returns the stay of key in set, or the stay that makes room for it.
func find(set *[stayWays]stay, key uint64) *stay {
	oldest := &set[0]
	for i := range set {
		if set[i].key == key {
			return &set[i]
		}
		if set[i].last < oldest.last {
			oldest = &set[i]
		}
	}
	return oldest
}

// over reports whether the network may go to a replica with this lag, whose comparison is c.
func (e *stay) over(now moment, lag time.Duration, c *comparison) bool {
	switch {
	case now-e.last >= moment(lag):
		return true // by now it has what was seen elsewhere
	case now-e.since < moment(lag):
		return false
	case c.asked >= e.last:
		return c.found != existence.Different
	case c.asked > e.since && c.found == existence.Different:
		return false
	default: // tried without success
		futile := c.tried > c.asked && now-c.tried >= moment(compareEvery)
		return futile && now-e.since >= moment(mustReturn*lag)
	}
}

func (s *stays) comparison(key uint64) comparison {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.compared[key%compareSlots]; c.key == key {
		return c
	}
	return comparison{}
}

// begin reports whether a comparison may begin now.
func (s *stays) begin(key uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, c := s.now(), &s.compared[key%compareSlots]
	if c.key == key && now-c.tried < moment(compareEvery) {
		return false
	}
	if c.key != key {
		*c = comparison{key: key}
	}
	c.tried = now
	return true
}

// end records the result of a comparison. Before the moment asked, neither upstream was asked.
func (s *stays) end(key uint64, asked moment, found existence.Comparison) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := &s.compared[key%compareSlots]; c.key == key && asked > c.asked {
		c.asked, c.found = asked, found
	}
}
