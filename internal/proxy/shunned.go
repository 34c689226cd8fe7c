package proxy

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// shunSlots bounds the pairs of a client network and a candidate that are remembered: 32 KiB. Another pair may take
// a slot, and the older one is forgotten.
const shunSlots = 1 << 12

// shunned remembers for [repeatWindow] which candidates client networks had trouble with. Safe for concurrent use.
type shunned struct {
	seed  maphash.Seed
	epoch time.Time
	some  atomic.Bool // anything was ever added
	slots [shunSlots]atomic.Uint64
}

func newShunned() *shunned { return &shunned{seed: maphash.MakeSeed(), epoch: time.Now()} }

// A slot is a fingerprint of the pair in its upper bits, and seconds since the epoch, from 1.
func (s *shunned) find(client netip.Prefix, origin string) (slot *atomic.Uint64, word uint64) {
	h := mix(client, maphash.String(s.seed, origin))
	return &s.slots[h%shunSlots], h&^slotTime | (uint64(time.Since(s.epoch)/time.Second)+1)&slotTime
}

// add has client sent past the candidate that is asked at origin.
func (s *shunned) add(client netip.Prefix, origin string) {
	slot, word := s.find(client, origin)
	slot.Store(word)
	s.some.Store(true)
}

func (s *shunned) has(client netip.Prefix, origin string) bool {
	if !s.some.Load() {
		return false
	}
	slot, word := s.find(client, origin)
	old := slot.Load()
	return old != 0 && (old^word)&^slotTime == 0 && (word-old)&slotTime <= uint64(repeatWindow/time.Second)
}

// remove ends it: the candidate was found to be well.
func (s *shunned) remove(client netip.Prefix, origin string) {
	slot, word := s.find(client, origin)
	if old := slot.Load(); (old^word)&^slotTime == 0 {
		slot.CompareAndSwap(old, 0)
	}
}
