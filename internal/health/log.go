package health

import "time"

// line is a transition to log: recorded under the lock, logged after it.
type line struct {
	kind                changeKind
	name, err           string
	failures            int
	failing, candidates int
}

// apply makes changes visible and returns the lines to log about them. The lock is held.
func (m *Monitor) apply(changes []change) []line {
	var lines []line
	for _, ch := range changes {
		l := line{kind: ch.kind, candidates: len(m.roster.all)}
		if ch.c != nil {
			ch.c.since = time.Now()
			l.name, l.err, l.failures = ch.c.Name, ch.c.lastErr, ch.c.failures
		}
		for _, c := range m.roster.all {
			if c.failing && c.standing == inService {
				l.failing++
			}
		}
		lines = append(lines, l)
	}
	if len(changes) > 0 && m.view != nil {
		m.view.publish()
	}
	return lines
}

// log writes one line for each transition.
func (m *Monitor) log(lines []line) {
	for _, l := range lines {
		switch log := m.opt.Logger; l.kind {
		case changeEjected:
			log.Warn("candidate ejected", "candidate", l.name, "failures", l.failures, "error", l.err)
		case changeReadmitted:
			log.Info("candidate re-admitted", "candidate", l.name)
		case changeJoined:
			log.Info("candidate joined", "candidate", l.name)
		case changeReturned:
			log.Info("candidate returned: it was ejected in the burst that froze health", "candidate", l.name)
		case changeFrozen:
			log.Error("health frozen: more than half of the candidates fail together", "failing", l.failing, "candidates", l.candidates)
		case changeThawed:
			log.Info("health thawed: fewer than half of the candidates fail", "failing", l.failing, "candidates", l.candidates)
		case changeProven:
			log.Warn("health thawed: some candidates keep working, so our network does", "failing", l.failing, "candidates", l.candidates)
		case changeGap:
			log.Warn("health round discarded: this process did not run for a while")
		}
	}
}
