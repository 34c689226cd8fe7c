package proxy

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/health"
	"ociproxy/internal/oci"
)

// sampleRing is how many objects the proxy remembers of a candidate without inventory.
const sampleRing = 64

// sampleEvery bounds how often the proxy remembers an unchecked object: a flood of made-up digests must not push out
// the real ones.
const sampleEvery = 5 * time.Second

// samples remembers objects that a candidate was seen to hold. Health probes the candidate with them.
type samples struct {
	next atomic.Int64 // when an unchecked one is wanted, Unix nanoseconds

	mu   sync.Mutex
	ring []health.Object
	at   int
}

// add remembers o in place of the oldest object.
func (s *samples) add(o health.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ring) < sampleRing {
		s.ring = append(s.ring, o)
		return
	}
	s.ring[s.at] = o
	s.at = (s.at + 1) % sampleRing
}

// wanted reports whether to add an object that clients ask for; true at most once every sampleEvery.
func (s *samples) wanted(now time.Time) bool {
	next := s.next.Load()
	return now.UnixNano() >= next && s.next.CompareAndSwap(next, now.Add(sampleEvery).UnixNano())
}

// drop forgets an object that the candidate does not hold.
func (s *samples) drop(d oci.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ring {
		if s.ring[i].Digest == d {
			s.ring[i] = s.ring[len(s.ring)-1]
			s.ring = s.ring[:len(s.ring)-1]
			s.at = 0
			return
		}
	}
}

// pick returns a random one of at most maxSize bytes (0: any).
func (s *samples) pick(maxSize int64) (health.Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ring) == 0 {
		return health.Object{}, false
	}
	start := rand.IntN(len(s.ring))
	for i := range s.ring {
		if o := s.ring[(start+i)%len(s.ring)]; maxSize == 0 || o.Size <= maxSize {
			return o, true
		}
	}
	return health.Object{}, false
}
