package existence

import (
	"slices"
	"time"
)

const (
	// paceSamples is how many answers of an origin are kept, for each kind. They are kept for at most paceLasts.
	paceSamples = 64
	paceLasts   = 10 * time.Minute
	// leastWait is the shortest wait: a store that answers in 20 ms may need a new connection, or a short pause. The
	// wait is also at least three tenths of the budget, so that a larger budget gives origins more time.
	leastWait = 300 * time.Millisecond
	// After silentAfter overdue checks of an origin without an answer, the wait is as short as for the fastest
	// origin; after hopelessAfter, a third of that. A dead origin must not cost every new digest as much as a slow
	// one may. This lasts until silentFor has passed without an overdue check.
	silentAfter, hopelessAfter = 2, 5
	silentFor                  = 10 * time.Second
)

// pace is how fast an origin answers, and how long requests may wait for it. The zero value knows nothing.
type pace struct {
	// held and absent are kept apart. Many stores answer fast for digests that clients make up, and that must not
	// shorten the wait for what is there.
	held, absent ring
	// setup is how long connections took to make. Any check may need a new connection, so it counts however old it
	// is.
	setup ring
	// late is the slowest answer that came after the wait had ended. It lengthens the wait for paceLasts: a store
	// that became slow gets more time at once, not only when one answer in twenty is slow.
	late   time.Duration
	lateAt time.Time
	// overdue counts the checks since the last answer whose time was over without an answer.
	overdue   int
	overdueAt time.Time
}

// answered records an answer: how long the connection took to make (0: it was already open), and how long the request
// itself took.
func (p *pace) answered(held bool, setup, took time.Duration, now time.Time) {
	p.overdue = 0
	if setup > 0 {
		p.setup.add(setup, now)
	}
	if held {
		p.held.add(took, now)
	} else {
		p.absent.add(took, now)
	}
}

// missed records an answer that came late.
func (p *pace) missed(took time.Duration, now time.Time) {
	if now.Sub(p.lateAt) > paceLasts {
		p.late = 0
	}
	p.late, p.lateAt = max(p.late, took), now
}

// gaveUp records a check whose time was over without an answer.
func (p *pace) gaveUp(now time.Time) {
	if now.Sub(p.overdueAt) > silentFor {
		p.overdue = 0
	}
	p.overdue++
	p.overdueAt = now
}

// budget returns how long a check may take, at most limit: all of it while nothing is known, else twice the time of
// 95 of 100 recent answers.
func (p *pace) budget(limit time.Duration, now time.Time) time.Duration {
	least := min(limit, max(leastWait, limit*3/10))
	b := limit
	if usual := max(p.held.recent(now), p.absent.recent(now)); usual > 0 {
		b = 2 * (p.setup.p95 + usual)
	}
	if now.Sub(p.lateAt) <= paceLasts {
		b = max(b, 2*p.late)
	}
	overdue := p.overdue
	if now.Sub(p.overdueAt) > silentFor {
		overdue = 0
	}
	switch b = min(max(b, least), limit); {
	case overdue >= hopelessAfter:
		return least / 3
	case overdue >= silentAfter:
		return least
	}
	return b
}

// ring holds the last durations and the 95th percentile of those that are not too old.
type ring struct {
	last   [paceSamples]time.Duration
	when   [paceSamples]time.Time
	at     int
	newest time.Time
	p95    time.Duration
}

func (r *ring) add(d time.Duration, now time.Time) {
	r.last[r.at], r.when[r.at], r.newest = max(d, 1), now, now
	r.at = (r.at + 1) % paceSamples
	var sorted [paceSamples]time.Duration
	n := 0
	for i, d := range r.last {
		if d > 0 && now.Sub(r.when[i]) <= paceLasts {
			sorted[n] = d
			n++
		}
	}
	slices.Sort(sorted[:n])
	r.p95 = sorted[(95*n+99)/100-1]
}

// recent returns the 95th percentile; 0 when nothing was added lately.
func (r *ring) recent(now time.Time) time.Duration {
	if now.Sub(r.newest) > paceLasts {
		return 0
	}
	return r.p95
}
