package health

import "time"

// Status is what is known about one candidate, for operators and metrics.
type Status struct {
	Name   string
	Usable bool
	// State is "in service", "ejected" or "joining" (added by a reload, not yet seen to work).
	State string
	// Since is when State began.
	Since time.Time
	// LastProbe is when it was last probed; zero: not yet.
	LastProbe time.Time
	// LastError is the error of its last failed or neutral probe, at LastErrorTime; "" for none.
	LastError     string
	LastErrorTime time.Time
	// Failing says that its last probe with a verdict failed.
	Failing bool
	// Failures and Successes count in a row.
	Failures, Successes int
	// Busy candidates are probed more often: clients were sent there in the last ten minutes.
	Busy bool
	// Frozen says that only the freeze keeps it in service: more than half of the candidates fail together.
	Frozen bool
}

// Status returns what is known about each candidate, in the order of the targets.
func (m *Monitor) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	out := make([]Status, len(m.roster.all))
	for i, c := range m.roster.all {
		out[i] = Status{
			Name: c.Name, Usable: c.standing == inService, State: c.standing.String(), Since: c.since,
			LastProbe: c.lastProbe, LastError: c.lastErr, LastErrorTime: c.lastErrTime,
			Failing: c.failing, Failures: c.failures, Successes: c.successes,
			Busy:   c.busyAt(now, m.opt.Recent),
			Frozen: m.roster.frozen && c.standing == inService && c.failures >= m.roster.eject,
		}
	}
	return out
}

// Frozen reports whether ejections are suspended because more than half fail together.
func (m *Monitor) Frozen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.frozen
}

// String returns the metric label.
func (o outcome) String() string {
	switch o {
	case pass:
		return ResultOK
	case fail:
		return ResultFailed
	default:
		return ResultNeutral
	}
}

// note keeps the result of a probe for the next probe and for operators. The lock is held.
func (c *candidate) note(r result) {
	if r.outcome == barren {
		return
	}
	c.asked = c.asked || r.requested
	if r.requested {
		c.lastProbe = time.Now()
	}
	if r.err != nil {
		c.lastErr, c.lastErrTime = r.err.Error(), time.Now()
	}
	c.denied = r.missing
	switch {
	case r.missing && c.hasKept && r.object.URL == c.kept.URL:
		c.hasKept = false
	case r.outcome == pass && !r.object.Digest.IsZero(): // not a ping
		c.kept, c.hasKept = r.object, true
	}
	if r.outcome != fail {
		c.turn = (c.turn + 1) % turns // a failed probe is repeated in the same way
	}
}
