package health

import "time"

// busyAt reports whether clients were sent here recently.
func (c *candidate) busyAt(now moment, recent time.Duration) bool {
	seen := moment(c.seen.Load())
	return seen >= 0 && now-seen <= recent
}

// urgency orders candidates that are due: first those that decide about a freeze, then those that decide about an
// ejection.
func (c *candidate) urgency(frozen bool) int {
	switch {
	case frozen && c.standing == inService && !c.failing:
		return 3
	case c.standing == inService && c.failing:
		return 2
	case c.prompt || c.suspect.Load():
		return 1
	default:
		return 0
	}
}

// nextProbe returns when c is due.
func (m *Monitor) nextProbe(c *candidate, now moment) moment {
	next := c.last + moment(c.jitter*float64(m.pace(c, now)))
	if c.suspect.Load() {
		next = min(next, c.last+2*m.opt.Confirm)
	}
	if c.prompt {
		next = min(next, c.last+m.opt.Confirm)
	}
	return next
}

// pace returns the current interval between probes of c. Each turn computes it again, so that a candidate that
// becomes busy need not wait for the end of a long interval.
func (m *Monitor) pace(c *candidate, now moment) time.Duration {
	r := &m.roster
	switch {
	case !c.asked:
		return m.opt.First
	case c.standing == inService && c.failing && c.failures < r.eject && !c.neutral,
		c.standing == joining && c.failures < r.eject && !c.neutral,
		c.standing == inService && r.frozen && !c.failing && !c.neutral:
		return m.opt.Confirm
	case c.standing != inService, c.failing, c.Prove:
		return m.opt.Retry
	case c.busyAt(now, m.opt.Recent):
		return m.opt.Busy
	default:
		return m.opt.Idle
	}
}
