package health

import "time"

// roster is the state of all candidates and the rules that change it. It has no clock and does no I/O, so that tests
// can compare random histories with a naive model.
type roster struct {
	eject, readmit, proof int
	burst                 time.Duration
	patience              int // barren turns after which a joining candidate is usable

	all     []*candidate
	trouble bool // more than half of the candidates in service fail together
	frozen  bool // trouble, and no proof that our network works
}

// change is a transition of one candidate, or of the roster when c is nil.
type change struct {
	c    *candidate
	kind changeKind
}

type changeKind uint8

const (
	changeEjected changeKind = iota
	changeReadmitted
	changeJoined
	changeReturned // ejected in a burst that turned out to be our own network
	changeFrozen
	changeThawed
	changeProven // the others really are down
	changeGap    // this process did not run for a while
)

// record handles the result of a probe of c at a moment, and returns what changes.
func (r *roster) record(c *candidate, o outcome, now moment) []change {
	c.heard, c.neutral = true, o == neutral
	if o != barren {
		c.sterile = 0
	}
	switch o {
	case pass:
		c.probed, c.failing, c.verdict = true, false, now
		c.failures = 0
		c.successes++
		c.proof++
	case fail:
		c.probed, c.failing, c.verdict = true, true, now
		c.failures++
		c.successes, c.proof = 0, 0
		if c.failures == 1 && c.standing == inService {
			c.failed = now
			r.callRoll(c, now-fresh)
		}
	case barren:
		// It cannot be probed, so it must not stay out forever. Where no object is known, existence checks protect
		// clients from a dead candidate.
		if c.standing != inService {
			c.sterile++
		}
	case neutral:
	}
	return r.judge(now)
}

// fresh is how recent a verdict must be to leave a candidate out of the first roll call: a candidate that flaps must
// not cause probes of all others all the time.
const fresh = 5 * time.Second

// callRoll requests a probe of all others that had none since a moment, when c begins to fail and when it is ejected.
// Only all of them together show whether our own network is at fault.
func (r *roster) callRoll(c *candidate, since moment) {
	for _, o := range r.all {
		if o != c && o.standing == inService && o.verdict < since {
			o.prompt = true
		}
	}
}

// judge applies the rules to what is known at a moment.
func (r *roster) judge(now moment) (changes []change) {
	r.watch(now)
	if frozen := r.trouble && !r.proven(); frozen != r.frozen {
		r.frozen = frozen
		switch {
		case frozen:
			changes = append(changes, change{nil, changeFrozen})
		case r.trouble:
			r.doubt()
			changes = append(changes, change{nil, changeProven})
		default:
			changes = append(changes, change{nil, changeThawed})
		}
	}
	for _, c := range r.all {
		if kind, ok := r.next(c, now); ok {
			changes = append(changes, change{c, kind})
		}
	}
	return changes
}

// next moves c to its next state when a rule says so.
func (r *roster) next(c *candidate, now moment) (changeKind, bool) {
	switch {
	case c.standing == inService && c.failures >= r.eject && !r.frozen:
		c.standing, c.ejected = ejected, now
		r.callRoll(c, c.failed)
		return changeEjected, true
	case c.standing == ejected && r.frozen && now-c.ejected <= r.burst:
		c.standing = inService
		return changeReturned, true
	case c.standing == ejected && c.successes >= r.readmit,
		c.standing == ejected && c.sterile >= r.readmit:
		c.standing, c.sterile = inService, 0
		return changeReadmitted, true
	case c.standing == joining && (c.successes > 0 || c.sterile >= r.patience):
		c.standing, c.sterile = inService, 0
		return changeJoined, true
	}
	return 0, false
}

// watch notices when more than half of the candidates in service fail together, and when that is over. A candidate
// that was ejected in the same burst counts as in service. A candidate that was out before does not count, and
// neither does one that cannot be probed. A candidate that still waits for its first probe counts as working.
func (r *roster) watch(now moment) {
	known, probed, failing := 0, 0, 0
	for _, c := range r.all {
		if c.standing != inService && !(c.standing == ejected && now-c.ejected <= r.burst) {
			continue
		}
		if c.probed || !c.heard {
			known++
		}
		if c.probed {
			probed++
		}
		if c.failing {
			failing++
		}
	}
	switch {
	case !r.trouble && probed >= 2 && 2*failing > known:
		r.trouble = true
		for _, c := range r.all {
			c.proof = 0
		}
	case r.trouble && (probed < 2 || 2*failing < known):
		r.trouble = false
		r.forgive()
	}
}

// forgive starts all failure counts again: they come from measurements that could not be trusted.
func (r *roster) forgive() {
	for _, c := range r.all {
		if c.standing == inService {
			c.failures = 0
		}
	}
}

// doubt reduces a row of failures that was counted while frozen to one. When our network has just come back, the
// candidates that are probed first prove it before the others were probed again. This gives the others their chance.
func (r *roster) doubt() {
	for _, c := range r.all {
		if c.standing == inService {
			c.failures = min(c.failures, 1)
		}
	}
}

// proven reports whether a candidate has kept passing since trouble began: then our network is not at fault.
func (r *roster) proven() bool {
	if r.proof < 0 {
		return false
	}
	for _, c := range r.all {
		if c.standing == inService && !c.failing && c.proof >= r.proof {
			return true
		}
	}
	return false
}
