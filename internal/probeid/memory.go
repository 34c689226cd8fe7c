package probeid

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// PerSecond bounds the signatures that one instance verifies in a second, for all peers together. At 44 µs
	// each this is 6 % of a core.
	PerSecond = 1250
	// MaxRPS is the highest number of identities that an instance may accept in a second. One network can get that
	// many verified: a fifth of PerSecond is more.
	MaxRPS = 200
	// keep is how long an accepted identity must be remembered: it may have been signed by a clock that is ahead by
	// Life, and is then valid for twice that.
	keep = 2 * Life
)

// mark is what a used identity is remembered by: the first half of its signature (R of RFC 8032), which is another one
// for each signed text.
type mark [16]byte

func (id *identity) mark() mark { return mark(id.signature[:16]) }

// memory is what an instance remembers of identities. Safe for concurrent use.
//
// The used ones are in two generations, and each is as old as keep when the next begins. So an identity is remembered
// for keep at least, and no more than 2 × keep × [MaxRPS] are, some 50 000 marks: only accepted ones get in. The rates
// hold for one second by the clock.
type memory struct {
	mu            sync.Mutex
	used, earlier map[mark]struct{}
	since         time.Time // when used began

	second int64
	left   int // verifications in this second
	of     map[netip.Prefix]int
}

func newMemory() *memory {
	return &memory{used: map[mark]struct{}{}, earlier: map[mark]struct{}{}, of: map[netip.Prefix]int{}}
}

// begin says whether an identity is worth a verification: [Accepted], or else the outcome. A known replay costs none.
func (m *memory) begin(of mark, r *Request) Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age(r.Now)
	switch {
	case m.known(of):
		return Replayed
	case !m.take(r.Network, r.Now):
		return Limited
	default:
		return Accepted
	}
}

// take takes one verification for a network. No network gets more than a quarter of what the others leave, so that a
// flood from a few networks leaves some to a prober elsewhere.
func (m *memory) take(network netip.Prefix, now time.Time) bool {
	if second := now.Unix(); second != m.second {
		m.second, m.left = second, PerSecond
		clear(m.of)
	}
	has := m.of[network]
	if 4*(has+1) > m.left-1 {
		return false
	}
	m.of[network] = has + 1
	m.left--
	return true
}

// use records an accepted identity, and reports whether it is the first time.
func (m *memory) use(of mark, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age(now)
	if m.known(of) {
		return false
	}
	m.used[of] = struct{}{}
	return true
}

func (m *memory) known(of mark) bool {
	_, now := m.used[of]
	_, before := m.earlier[of]
	return now || before
}

// age begins a new generation when it is time.
func (m *memory) age(now time.Time) {
	passed := now.Sub(m.since)
	if passed.Abs() <= keep { // a clock that was set back must not stop this
		return
	}
	m.used, m.earlier = m.earlier, m.used
	if clear(m.used); passed > 2*keep {
		clear(m.earlier)
	}
	m.since = now
}
