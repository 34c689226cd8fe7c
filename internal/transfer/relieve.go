package transfer

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ociproxy/internal/set"
)

// relieveAll makes room in all pools that somebody waits for.
func (e *Engine) relieveAll() {
	for _, p := range []*pool{&e.near, &e.open, &e.disk, &e.memory} {
		e.relieve(p)
	}
}

// relieve makes room in a pool that somebody waits for. Places near the source are given back by what only waits for targets that lag
// behind. For the others, first goes what is only kept in case it is useful: what earlier
// processes left, and spools that no upload needs while copies run. Then targets lose blobs that wait for nothing else.
//
// Waiting is the rule: when all stores are slow, the source waits for them. A target is made to lose something only when it is
// what the others wait for; see [shortage.excess].
func (e *Engine) relieve(p *pool) {
	if p.short() <= 0 {
		return
	}
	if p == &e.near {
		e.withdraw()
		return
	}
	for p == &e.disk && p.short() > 0 {
		n, found := e.dir.evict()
		if !found {
			break
		}
		p.put(n)
	}
	now := time.Now()
	if p.short() <= 0 || p.relieving || now.Sub(p.looked) < e.breath()/10 {
		return // what ends below asks again, and the watch does
	}
	p.looked = now
	p.relieving = true
	defer func() { p.relieving = false }()
	for _, f := range e.flights {
		if p.short() > 0 && f.pool == p && f.stage == whole && f.onlyCopies() {
			e.ground(f, false)
		}
	}
	if p.short() <= 0 {
		return
	}
	s := &shortage{e: e, p: p, now: now, ranked: map[int][]*leg{}}
	s.look()
	for s.excess() {
		l := s.victim()
		if l == nil {
			return
		}
		t, hung := e.targets[l.target], l.state == running
		err := fmt.Errorf("%w: %s: its share of the spool is needed", ErrBehind, t.Name)
		s.lags[l.target] -= s.held(l.f)
		e.drop(l, err)
		if hung {
			e.strike(t, err)
		}
	}
}

// withdraw gives places near the source back as long as a target could work more: by blobs that only wait for targets that have enough to
// do. So who lags behind holds back nobody, but when all have enough to do the source waits.
func (e *Engine) withdraw() {
	if !slices.ContainsFunc(e.targets, func(t *target) bool { return t.tripped == nil && !t.idle.IsZero() }) {
		return
	}
	now := time.Now()
	for f := range e.nearby {
		if e.near.short() <= 0 {
			return
		}
		if e.far(f, now) {
			e.away(f)
		}
	}
}

// far says whether a flight waits for nothing but targets that have enough to do, or do not get on.
func (e *Engine) far(f *flight, now time.Time) bool {
	if f.fetching {
		return false
	}
	if now.Sub(f.parked) >= e.breath() {
		return true
	}
	for _, l := range f.legs {
		if l.state != ended && l.lead == nil && !e.targets[l.target].idle.IsZero() {
			return false
		}
	}
	return true
}

// away gives a flight's place near the source back.
func (e *Engine) away(f *flight) {
	if e.nearby[f] {
		delete(e.nearby, f)
		e.near.put(1)
	}
}

// onlyCopies says whether nothing that is pending reads the spool now.
func (f *flight) onlyCopies() bool {
	for _, l := range f.legs {
		if l.state != ended && l.step != carry {
			return false
		}
	}
	return true
}

// shortage is one look at who holds what of a pool that is short.
type shortage struct {
	e    *Engine
	p    *pool
	now  time.Time
	lags []int64 // by target: what it keeps taken, of flights that have waited for nothing but targets for a breath
	last int     // the target that keeps most
	base int64   // what the idle target that keeps least of all does; nobody's is as little
	goal int64   // by how much last may be ahead of base in keeping

	ranked map[int][]*leg // by target: what it may lose, the next one last
}

// held is what a flight takes of the pool, if it has waited for targets for a breath.
func (s *shortage) held(f *flight) int64 {
	switch {
	case f.parked.IsZero() || s.now.Sub(f.parked) < s.e.breath():
		return 0
	case s.p == &s.e.open:
		return 1
	case s.p == f.pool:
		return f.blob.Size
	}
	return 0
}

// look finds out who lags how far, and decides how far is too far. Somebody must be idle for want of the space, and
//
//   - if a target keeps half of the pool more than the idle one, it loses half of that: the others go on with what is freed;
//   - if somebody has been idle, and nobody admitted, for a whole grace, then every lead is too much;
//   - the same if a target has not moved at all for a grace, even if nobody is idle: waiting for it is in vain.
func (s *shortage) look() {
	s.lags = make([]int64, len(s.e.targets))
	for _, f := range s.e.flights {
		for _, l := range f.legs {
			if l.state != ended && l.lead == nil {
				s.lags[l.target] += s.held(f)
			}
		}
	}
	var served set.Set
	for _, c := range s.p.waiting {
		served.Or(&c.need)
	}
	idle := time.Duration(-1)
	for i, t := range s.e.targets {
		if s.lags[i] > s.lags[s.last] {
			s.last = i
		}
		if since := s.now.Sub(t.idle); served.Has(i) && t.tripped == nil && !t.idle.IsZero() && since >= s.e.breath() {
			if idle < 0 || s.lags[i] < s.base {
				s.base = s.lags[i]
			}
			idle = max(idle, since)
		}
	}
	stuck := s.now.Sub(s.p.granted) >= s.e.opt.Grace
	lead := s.lags[s.last] - s.base
	switch {
	case stuck && s.e.targets[s.last].still(s.now) >= s.e.opt.Grace:
		s.base, s.goal = 0, 0
		for i := range s.lags {
			if i != s.last {
				s.lags[i] = 0 // they are not meant
			}
		}
	case stuck && idle >= s.e.opt.Grace:
		s.goal = 0
	case idle >= 0 && lead >= s.p.cap/2:
		s.goal = s.p.cap / 4
	default:
		s.goal = lead // nothing is too far
	}
}

// excess says whether somebody keeps too much still.
func (s *shortage) excess() bool {
	if s.goal == 0 && s.p.short() <= 0 {
		return false
	}
	for i, lag := range s.lags {
		if lag > s.lags[s.last] {
			s.last = i
		}
	}
	return s.lags[s.last]-s.base > s.goal
}

// victim chooses the leg to give up: of the target that keeps most, the one whose end frees most surely, and has cost least. nil:
// none, it is time to wait.
func (s *shortage) victim() *leg {
	legs, ok := s.ranked[s.last]
	if !ok {
		legs = s.rank(s.last)
	}
	for len(legs) > 0 {
		l := legs[len(legs)-1]
		legs = legs[:len(legs)-1]
		if s.ranked[s.last] = legs; l.state != ended {
			return l
		}
	}
	return nil
}

// rank lists what a target may lose, the first to go last.
func (s *shortage) rank(target int) (legs []*leg) {
	for _, f := range s.e.flights {
		l := f.legs[target]
		if l == nil || l.state == ended || l.lead != nil || s.held(f) == 0 || l.state == running && s.now.Sub(f.parked) < s.e.opt.Grace {
			continue // one that runs may be about to end
		}
		legs = append(legs, l)
	}
	slices.SortFunc(legs, func(a, b *leg) int {
		return cmp.Or(cmp.Compare(b.f.pending, a.f.pending), compareBool(b.state == running, a.state == running), b.f.parked.Compare(a.f.parked))
	})
	s.ranked[target] = legs
	return legs
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// breath is how long a target must be idle before others lose something for it, so that the end of one upload just before that of
// another is no reason; and how often that is looked at.
func (e *Engine) breath() time.Duration { return max(e.opt.Grace/30, time.Millisecond) }

// still returns for how long nothing has moved on its way to a target that has something to do.
func (t *target) still(now time.Time) time.Duration {
	least := now.Sub(t.moved)
	for l := range t.running {
		least = min(least, l.pulse.still(now))
	}
	return least
}

// fullFor is how long less is admitted after the disk was full.
const fullFor = 30 * time.Second

// full notes that the disk took no more than what is in use now without flight f: until it is tried again, no more is admitted.
func (e *Engine) full(f *flight, err error) {
	e.disk.limit = max(0, min(e.disk.limit, e.disk.used-f.blob.Size))
	e.fullTill = time.Now().Add(fullFor)
	e.tell(Full, f.blob, -1, e.disk.limit, err)
}
