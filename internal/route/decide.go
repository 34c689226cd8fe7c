package route

import (
	"ociproxy/internal/oci"

	"ociproxy/internal/set"
)

// Action is what the proxy must do with a request.
type Action uint8

const (
	// Redirect: answer 307 to the candidate's location.
	Redirect Action = iota
	// Relay: fetch the candidate's answer and pass it on.
	Relay
	// Check: find out whether the candidates in Need hold it, then decide again with State.Final.
	Check
	// Deny: the configuration forbids it.
	Deny
)

// Reason says why a candidate was chosen. The set is closed: it is a metric label.
type Reason uint8

const (
	// Nearest: the first of the client's ranking.
	Nearest Reason = iota
	// Absent: better candidates do not hold the digest.
	Absent
	// Unhealthy: a better candidate is out of service.
	Unhealthy
	// Unchecked: it was not known in time whether a better candidate holds it.
	Unchecked
	// Unreachable: a better candidate has no address of the client's family.
	Unreachable
	// RollingOut: a better candidate does not take this client network yet.
	RollingOut
	// Pinned: the configuration confines this client.
	Pinned
	// Retried: the client repeated a request for which it was just sent to a better candidate.
	Retried
	// Stayed: another candidate would answer a tag that moves, and could be behind what this client network has seen.
	Stayed
	// CanonicalOnly: only canonical answers this kind of request.
	CanonicalOnly
	// LastResort: no candidate of the ranking could serve.
	LastResort
	// Denied: the configuration forbids it.
	Denied
	numReasons
)

var reasonNames = [numReasons]string{
	"nearest", "absent", "unhealthy", "unchecked", "unreachable", "rollout", "pinned", "retried", "stayed", "canonical-only", "last-resort", "denied",
}

// String returns the metric label.
func (r Reason) String() string { return reasonNames[r] }

// Reasons lists the closed set.
func Reasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// State is what is known about the candidates at the moment of a request.
type State struct {
	// Usable candidates are healthy and within their quota.
	Usable set.Set
	// Holds: known to have what the request names. Canonical counts as holding everything.
	Holds set.Set
	// Unknown: it is not known whether they hold it.
	Unknown set.Set
	// Silent: the proxy asked them and got no usable answer.
	Silent set.Set
	// Final: the proxy makes no more checks; Unknown counts as absent.
	Final bool
}

// MaxChecks bounds how many candidates the proxy may check for one request.
const MaxChecks = 2

// Decision is the answer of [Decide].
type Decision struct {
	Action Action
	// Candidate is the index of the chosen candidate; [NoCandidate] with Check and Deny.
	Candidate int
	Reason    Reason
	// Cents is what a GB of this answer costs, in US cents.
	Cents float64
	// Need lists the candidates to check first, best first, with action Check; [NoCandidate] fills the rest.
	Need [MaxChecks]int
}

// NoCandidate stands for the absence of an index.
const NoCandidate = -1

func checkFirst(need [MaxChecks]int) Decision {
	return Decision{Action: Check, Candidate: NoCandidate, Need: need}
}

// Decide says which candidate answers req. It is pure and does not allocate.
func Decide(req *oci.Request, c *Client, s *Snapshot, st *State) Decision {
	if s.Denied(req) {
		return Decision{Action: Deny, Candidate: NoCandidate, Reason: Denied}
	}
	if req.CanonicalOnly() {
		return s.choose(req, s.Canonical, CanonicalOnly, 0)
	}
	ranking := s.Ranking(c)
	w := newWalk(req, c, s, st)
	need, needs := [MaxChecks]int{NoCandidate, NoCandidate}, 0
	first := Nearest // why the best candidate was passed over
	order := w.order(ranking)
	for i := range order {
		e := &order[i]
		v := w.verdict(e.Candidate)
		if v == pending {
			if needs < MaxChecks {
				need[needs] = e.Candidate
				needs++
			}
			continue
		}
		if v == take {
			if needs > 0 {
				return checkFirst(need)
			}
			if w.pinned {
				first = Pinned
			}
			return s.choose(req, e.Candidate, first, e.Price.Cents)
		}
		if first == Nearest {
			first = v.reason()
		}
	}
	if needs > 0 {
		return checkFirst(need)
	}
	return s.lastResort(req, c, ranking, st)
}

// lastResort returns the nearest upstream known to hold it, whatever pins and rollouts say, else canonical, which has
// everything by definition. So every pull has a destination. A client that uses a direct name may be unable to reach
// the other upstreams, and gets canonical.
func (s *Snapshot) lastResort(req *oci.Request, c *Client, ranking *Ranking, st *State) Decision {
	canonical := 0.0
	for i := range ranking.Upstreams {
		e := &ranking.Upstreams[i]
		if e.Candidate == s.Canonical {
			canonical = e.Price.Cents
		}
		if c.Confined == nil && st.Usable.Has(e.Candidate) && (st.Holds.Has(e.Candidate) || e.Candidate == s.Canonical) {
			return s.choose(req, e.Candidate, LastResort, e.Price.Cents)
		}
	}
	return s.choose(req, s.Canonical, LastResort, canonical)
}

func (s *Snapshot) choose(req *oci.Request, i int, why Reason, cents float64) Decision {
	d := Decision{Action: Redirect, Candidate: i, Reason: why, Cents: cents}
	if req.Kind == oci.KindTags {
		d.Action = Relay
	}
	return d
}

// verdict is the result for one candidate of a walk down the ranking.
type verdict uint8

const (
	take verdict = iota
	pending
	passPin
	passRollout
	passFamily
	passHealth
	passAbsent
	passUnchecked
)

// reason says why the walk chose the next candidate instead.
func (v verdict) reason() Reason {
	switch v {
	case passRollout:
		return RollingOut
	case passFamily:
		return Unreachable
	case passHealth:
		return Unhealthy
	case passUnchecked:
		return Unchecked
	case passPin:
		return Pinned
	default:
		return Absent
	}
}

// walk holds what is the same for all candidates of one request.
type walk struct {
	s      *Snapshot
	c      *Client
	st     *State
	family *set.Set
	blob   bool // stores may answer
	relay  bool
	pins   set.Set
	pinned bool
}

func newWalk(req *oci.Request, c *Client, s *Snapshot, st *State) walk {
	w := walk{
		s: s, c: c, st: st, family: &s.v6,
		blob:  req.Kind == oci.KindBlob && req.Digest.InStores(),
		relay: req.Kind == oci.KindTags,
	}
	if !c.Addr.IsValid() || c.Addr.Is4() || c.Addr.Is4In6() {
		w.family = &s.v4
	}
	if s.confines {
		w.pins, w.pinned = s.pinned(c, w.blob)
	}
	return w
}

// order returns the part of the ranking that may answer. A pin overrides `serves`.
func (w *walk) order(r *Ranking) []Ranked {
	switch {
	case w.pinned:
		return r.Pinned
	case w.blob:
		return r.All
	default:
		return r.Upstreams
	}
}

func (w *walk) verdict(i int) verdict {
	switch {
	case w.pinned && !w.pins.Has(i):
		return passPin
	case w.s.rolling.Has(i) && percentile(w.s.Candidates[i].seed, w.c.Addr) >= w.s.Candidates[i].Rollout:
		return passRollout
	case !w.family.Has(i):
		return passFamily
	case !w.st.Usable.Has(i):
		return passHealth
	case i == w.s.Canonical || w.relay || w.st.Holds.Has(i):
		// Tag lists are relayed and fall back to canonical, so they need no check.
		return take
	case w.st.Silent.Has(i):
		return passUnchecked
	case !w.st.Unknown.Has(i):
		return passAbsent
	case w.st.Final:
		return passUnchecked
	default:
		return pending
	}
}
