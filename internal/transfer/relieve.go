package transfer

import (
	"fmt"
	"time"
)

// relieve makes room in a pool that somebody waits for. First goes what is only kept in case it is useful: what earlier
// processes left, and spools that no upload needs while copies run. Then targets lose blobs that wait for nothing else.
//
// Waiting is the rule: when all stores are slow, the source waits for them. A target is made to lose something only when it is
// what the others wait for, in one of three ways (see [shortage.behind]).
func (e *Engine) relieve(p *pool) {
	if p.short() <= 0 {
		return
	}
	if p == &e.disk {
		for p.short() > 0 {
			n, found := e.dir.evict()
			if !found {
				break
			}
			p.put(n)
		}
	}
	for _, f := range e.flights {
		if p.short() > 0 && f.pool == p && f.stage == whole && f.onlyCopies() {
			e.ground(f, false)
		}
	}
	s := &shortage{e: e, p: p, now: time.Now()}
	for p.short() > 0 {
		l := s.victim()
		if l == nil {
			return
		}
		t := e.targets[l.target]
		err := fmt.Errorf("%w: %s: its share of the spool is needed", ErrBehind, t.Name)
		hung := l.state == running
		e.drop(l, err)
		if hung {
			e.strike(t, err)
		}
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
	e   *Engine
	p   *pool
	now time.Time
}

// held is what a flight takes of the pool.
func (s *shortage) held(f *flight) int64 {
	switch {
	case s.p == &s.e.open:
		return 1
	case s.p == f.pool:
		return f.blob.Size
	}
	return 0
}

// lags returns what each target keeps taken, of flights that wait for nothing but targets.
func (s *shortage) lags() []int64 {
	lags := make([]int64, len(s.e.targets))
	for _, f := range s.e.flights {
		if f.parked.IsZero() {
			continue
		}
		for _, l := range f.legs {
			if l.state != ended && l.lead == nil {
				lags[l.target] += s.held(f)
			}
		}
	}
	return lags
}

// victim chooses the leg to give up: of the target that keeps most, the one whose end frees most surely, and has cost least. nil:
// none, it is time to wait.
func (s *shortage) victim() *leg {
	lags := s.lags()
	last, first := -1, int64(-1)
	var served Set
	for _, c := range s.p.waiting {
		served.or(c.need)
	}
	for i, lag := range lags {
		if last < 0 || lag > lags[last] {
			last = i
		}
		if served.Has(i) && s.e.targets[i].tripped == nil && (first < 0 || lag < first) {
			first = lag
		}
	}
	if last < 0 || lags[last] == 0 {
		return nil
	}
	if first < 0 {
		first = lags[last]
	}
	behind := s.behind(last, lags[last], lags[last]-first)
	if !behind {
		return nil
	}
	var best *leg
	var rank [3]int64
	for _, f := range s.e.flights {
		l := f.legs[last]
		if l == nil || l.state == ended || l.lead != nil || f.parked.IsZero() || s.held(f) == 0 {
			continue
		}
		if l.state == running && s.now.Sub(f.parked) < s.e.opt.Grace {
			continue // it may be about to end
		}
		r := [3]int64{int64(f.pending), 0, f.parked.UnixNano()}
		if l.state == running {
			r[1] = 1
		}
		if best == nil || less(r, rank) {
			best, rank = l, r
		}
	}
	return best
}

// behind says whether the others wait for a target that keeps lag of the pool, which is more than the least of those that
// could use the space by lead:
//
//   - it keeps half of the pool more than that one: it is far behind, and the rest goes on with the other half;
//   - somebody has waited for a grace, and this one's lead is what is lacking;
//   - it has not moved for a grace at all, so that waiting for it is in vain.
func (s *shortage) behind(target int, lag, lead int64) bool {
	if lead >= s.p.cap/2 && lead > 0 {
		return true
	}
	if s.now.Sub(s.p.waiting[0].since) < s.e.opt.Grace {
		return false
	}
	return lead > 0 && lead >= s.p.short() || lag > 0 && s.e.targets[target].still(s.now) >= s.e.opt.Grace
}

// still returns for how long nothing has moved on its way to a target that has something to do.
func (t *target) still(now time.Time) time.Duration {
	least := now.Sub(t.moved)
	for l := range t.running {
		least = min(least, l.pulse.still(now))
	}
	return least
}

func less(a, b [3]int64) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// fullFor is how long less is admitted after the disk was full.
const fullFor = 30 * time.Second

// full notes that the disk took no more than what is in use now without flight f: until it is tried again, no more is admitted.
func (e *Engine) full(f *flight, err error) {
	e.disk.limit = max(0, min(e.disk.limit, e.disk.used-f.blob.Size))
	e.fullTill = time.Now().Add(fullFor)
	e.tell(Full, f.blob, -1, e.disk.limit, err)
}
