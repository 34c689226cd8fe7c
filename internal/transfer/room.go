package transfer

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ociproxy/internal/set"
)

// makeRoomEverywhere makes room in all pools that have waiting claims.
func (e *Engine) makeRoomEverywhere() {
	for _, p := range []*pool{&e.active, &e.open, &e.disk, &e.memory} {
		e.makeRoom(p)
	}
}

// makeRoom makes room in a pool that has waiting claims. Blobs that only wait for targets that lag behind give up their
// active places. In the other pools, first goes what is only kept because it may be useful: what earlier processes
// left, and spools that no upload needs while copies run. Then targets lose blobs that wait for nothing else
// (docs/decisions/0025-who-loses-spooled-blobs.md).
//
// As a rule, the engine waits: when all stores are slow, the source waits for them. A target loses something only when
// others wait for it; see [shortage.excess].
func (e *Engine) makeRoom(p *pool) {
	if p.short() <= 0 {
		return
	}
	if p == &e.active {
		e.freeActive()
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
	if p.short() <= 0 || p.making || now.Sub(p.looked) < e.moment()/10 {
		return // the ends below and the watch call makeRoom again
	}
	p.looked = now
	p.making = true
	defer func() { p.making = false }()
	for _, w := range e.work {
		if p.short() > 0 && w.pool == p && w.stage == whole && w.onlyCopies() {
			e.dropSpool(w, false)
		}
	}
	if p.short() <= 0 {
		return
	}
	s := &shortage{e: e, p: p, now: now, ranked: map[int][]*delivery{}}
	s.measure()
	for s.excess() {
		d := s.nextToLose()
		if d == nil {
			return
		}
		t, hung := e.targets[d.target], d.state == running
		err := fmt.Errorf("%w: %s: its share of the spool is needed", ErrBehind, t.Name)
		s.lags[d.target] -= s.held(d.w)
		e.drop(d, err)
		if hung {
			e.countFailure(t, err)
		}
	}
}

// freeActive gives active places back as long as a target could work more. It takes the places of blobs that only wait
// for targets that have enough to do. So a target that lags behind does not hold back others. When all targets have
// enough to do, the source waits.
func (e *Engine) freeActive() {
	if !slices.ContainsFunc(e.targets, func(t *target) bool { return t.tripped == nil && !t.idle.IsZero() }) {
		return
	}
	now := time.Now()
	for w := range e.activeWork {
		if e.active.short() <= 0 {
			return
		}
		if e.waitsForTargets(w, now) {
			e.leaveActive(w)
		}
	}
}

// waitsForTargets reports whether work only waits for targets that have enough to do, or that do not move.
func (e *Engine) waitsForTargets(w *work, now time.Time) bool {
	if w.fetching {
		return false
	}
	if now.Sub(w.idleSince) >= e.moment() {
		return true
	}
	for _, d := range w.deliveries {
		if d.state != ended && d.first == nil && !e.targets[d.target].idle.IsZero() {
			return false
		}
	}
	return true
}

// leaveActive gives back the active place of work.
func (e *Engine) leaveActive(w *work) {
	if e.activeWork[w] {
		delete(e.activeWork, w)
		e.active.put(1)
	}
}

// onlyCopies reports whether no pending delivery reads the spool now.
func (w *work) onlyCopies() bool {
	for _, d := range w.deliveries {
		if d.state != ended && d.step != toCopy {
			return false
		}
	}
	return true
}

// shortage is one measurement of which target holds what of a pool that is short.
type shortage struct {
	e    *Engine
	p    *pool
	now  time.Time
	lags []int64 // by target: what it keeps, of work that has waited only for targets for a moment
	last int     // the target that keeps most
	base int64   // what the idle target that keeps least keeps; 0 if no target is idle
	goal int64   // how much more than base last may keep

	ranked map[int][]*delivery // by target: what it may lose; the next one is last
}

// held returns what work takes of the pool, if it has waited only for targets for a moment.
func (s *shortage) held(w *work) int64 {
	switch {
	case w.idleSince.IsZero() || s.now.Sub(w.idleSince) < s.e.moment():
		return 0
	case s.p == &s.e.open:
		return 1
	case s.p == w.pool:
		return w.blob.Size
	}
	return 0
}

// measure finds out how far each target lags, and decides how far is too far. A target is idle if only space is
// missing for its work. There are three cases:
//
//   - A target keeps more than the idle target does, by half of the pool. It loses half of that difference, and the
//     others continue with what is freed.
//   - A target has been idle, and nothing was admitted, for a complete grace. Then whatever another target keeps beyond
//     the idle one is too much.
//   - A target has not moved at all for a grace, even if no target is idle. Then whatever it keeps is too much, because
//     it is useless to wait for it.
func (s *shortage) measure() {
	s.lags = make([]int64, len(s.e.targets))
	for _, w := range s.e.work {
		for _, d := range w.deliveries {
			if d.state != ended && d.first == nil {
				s.lags[d.target] += s.held(w)
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
		if since := s.now.Sub(t.idle); served.Has(i) && t.tripped == nil && !t.idle.IsZero() && since >= s.e.moment() {
			if idle < 0 || s.lags[i] < s.base {
				s.base = s.lags[i]
			}
			idle = max(idle, since)
		}
	}
	stuck := s.now.Sub(s.p.granted) >= s.e.opt.Grace
	ahead := s.lags[s.last] - s.base
	switch {
	case stuck && s.e.targets[s.last].still(s.now) >= s.e.opt.Grace:
		s.base, s.goal = 0, 0
		for i := range s.lags {
			if i != s.last {
				s.lags[i] = 0 // they are not affected
			}
		}
	case stuck && idle >= s.e.opt.Grace:
		s.goal = 0
	case idle >= 0 && ahead >= s.p.cap/2:
		s.goal = s.p.cap / 4
	default:
		s.goal = ahead // nothing is too far ahead
	}
}

// excess reports whether a target still keeps too much.
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

// nextToLose returns the delivery to give up. It belongs to the target that keeps most. Its end frees space most
// surely, and it has cost least. nil: there is none, so the engine waits.
func (s *shortage) nextToLose() *delivery {
	deliveries, ok := s.ranked[s.last]
	if !ok {
		deliveries = s.rank(s.last)
	}
	for len(deliveries) > 0 {
		d := deliveries[len(deliveries)-1]
		deliveries = deliveries[:len(deliveries)-1]
		if s.ranked[s.last] = deliveries; d.state != ended {
			return d
		}
	}
	return nil
}

// rank lists what a target may lose. The first to go is last.
func (s *shortage) rank(target int) (deliveries []*delivery) {
	for _, w := range s.e.work {
		d := w.deliveries[target]
		if d == nil || d.state == ended || d.first != nil || s.held(w) == 0 || d.state == running && s.now.Sub(w.idleSince) < s.e.opt.Grace {
			continue // a running delivery may be about to end
		}
		deliveries = append(deliveries, d)
	}
	slices.SortFunc(deliveries, func(a, b *delivery) int {
		return cmp.Or(cmp.Compare(b.w.pending, a.w.pending), compareBool(b.state == running, a.state == running), b.w.idleSince.Compare(a.w.idleSince))
	})
	s.ranked[target] = deliveries
	return deliveries
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

// moment returns how long a target must be idle before others lose something for it. It is also how often that is
// checked. So two uploads that end shortly after each other cause no loss.
func (e *Engine) moment() time.Duration { return max(e.opt.Grace/30, time.Millisecond) }

// still returns for how long nothing has moved towards a target that has something to do.
func (t *target) still(now time.Time) time.Duration {
	least := now.Sub(t.moved)
	for d := range t.running {
		least = min(least, d.pulse.still(now))
	}
	return least
}

// fullFor is how long the engine admits less after the disk was full.
const fullFor = 30 * time.Second

// full records that the disk takes no more than what is in use now without w. The engine admits no more than that until
// it tries again.
func (e *Engine) full(w *work, err error) {
	e.disk.limit = max(0, min(e.disk.limit, e.disk.used-w.blob.Size))
	e.fullTill = time.Now().Add(fullFor)
	e.tell(Full, w.blob, -1, e.disk.limit, err)
}
