package existence

import (
	"slices"
	"time"
)

const (
	// paceSamples is how many answers of an origin are looked back on, of each kind, for at most
	// paceLasts.
	paceSamples = 64
	paceLasts   = 10 * time.Minute
	// leastWait is waited at least: a store that answers in 20 ms may need a new connection, or a
	// breath. It is at least three tenths of the budget, so that who allows more is given more.
	leastWait = 300 * time.Millisecond
	// silentAfter checks of an origin overdue, with no answer since, it is waited for as shortly as
	// the fastest one; hopelessAfter as many, a third of that: one that is dead must not cost every
	// new digest what a slow one may. It lasts as long as one was overdue in silentFor.
	silentAfter, hopelessAfter = 2, 5
	silentFor                  = 10 * time.Second
)

// pace is how fast an origin answers, and how long it may be waited for. The zero value knows
// nothing.
type pace struct {
	// Answers that it holds something and that it does not are told apart: what strangers make up
	// is answered fast at many stores, and must not shorten the wait for what is there.
	held, absent ring
	// setup is what connections took to make. Any check may need a new one, so it counts however
	// old it is.
	setup ring
	// late is the slowest answer that was waited for without success. It lengthens the wait for paceLasts:
	// a store that became slow is believed at once, not when one answer in twenty is slow.
	late   time.Duration
	lateAt time.Time
	// overdue counts the checks waited for without success since the last answer.
	overdue   int
	overdueAt time.Time
}

// answered takes in an answer: how long a connection took to make (0: there was one), and how long
// the answer to the request itself.
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

// missed takes in that an answer came late.
func (p *pace) missed(took time.Duration, now time.Time) {
	if now.Sub(p.lateAt) > paceLasts {
		p.late = 0
	}
	p.late, p.lateAt = max(p.late, took), now
}

// gaveUp takes in that an answer was waited for without success.
func (p *pace) gaveUp(now time.Time) {
	if now.Sub(p.overdueAt) > silentFor {
		p.overdue = 0
	}
	p.overdue++
	p.overdueAt = now
}

// budget is how long a check may be waited for, at most limit: all of it while nothing is known,
// else twice what 95 of 100 answers took lately.
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

// recent is the 95th percentile, 0 when nothing was added lately.
func (r *ring) recent(now time.Time) time.Duration {
	if now.Sub(r.newest) > paceLasts {
		return 0
	}
	return r.p95
}
