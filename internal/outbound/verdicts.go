package outbound

import (
	"log/slog"
	"sync"
	"time"
)

// How long a host may refuse connections until that is taken for its last word: one that never answered, and one that did and may
// be being restarted. Failures further apart than failuresApart have nothing to do with each other.
const (
	refusedFirst   = time.Second
	refusedRestart = 30 * time.Second
	failuresApart  = time.Minute
)

// How long a host that has not answered well in this run is asked, whatever it has to say: it is more likely not what it was taken for, or
// out of order, than busy, and somebody waits to be told. One that says at its first answer when to come again is waited
// for, when that is soon.
const (
	FirstContact = 10 * time.Second // from the first try on
	FirstPause   = 30 * time.Second // the longest that such a host may ask for
	FirstAnswer  = 30 * time.Second // the longest that one try may stand still
)

// tellAfter is how long a host that has answered before is waited for in silence.
const tellAfter = 10 * time.Second

// Verdicts tells of one host whether asking it again soon can help. The zero value is ready. Its methods may be called from several
// goroutines.
type Verdicts struct {
	mu          sync.Mutex
	since, last time.Time // of the failures in a row: when the first was begun, and the last had ended; zero: there are none
	refused     time.Time // since when there were only refusals of connections
	until       time.Time // as long it wants to be left alone
	answered    bool      // well, once
	told        time.Time
}

// Outcome is how one try ended.
type Outcome struct {
	Began time.Time // zero: now
	// Err is nil when a good answer came, be it a no. A host that says it is busy or broken has not answered well.
	Err error
	// Asked is for how long the host asks to be left alone; 0: it does not say.
	Asked time.Duration
}

// Final takes how a try ended. It reports whether there is no use in another one: at once for what is [Certain], when the host has
// refused connections for a second, or for half a minute when it has answered before, and when it has not answered well within
// [FirstContact], or asks for more time than is given at the first contact.
func (v *Verdicts) Final(o Outcome) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if o.Err == nil {
		v.since, v.refused, v.answered = time.Time{}, time.Time{}, true
		return false
	}
	now := time.Now()
	first := v.since.IsZero() || now.Sub(v.last) > failuresApart
	if first {
		v.since, v.refused = now, time.Time{}
		if !o.Began.IsZero() {
			v.since = o.Began
		}
	}
	v.last, v.until = now, now.Add(o.Asked)
	switch {
	case !Refused(o.Err):
		v.refused = time.Time{}
	case v.refused.IsZero():
		v.refused = now
	}
	switch {
	case Certain(o.Err):
		return true
	case v.answered:
		return !v.refused.IsZero() && now.Sub(v.refused) >= refusedRestart
	case !v.refused.IsZero() && now.Sub(v.refused) >= refusedFirst, now.Sub(v.since) >= FirstContact:
		return true
	case first:
		return o.Asked > FirstPause
	}
	return now.Add(o.Asked).Sub(v.since) > FirstContact
}

// New reports that the host has not answered well yet.
func (v *Verdicts) New() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.answered
}

// Pause is how long to wait before the next try, where d would be waited for: less at the first contact, whose time is short. What the
// host asked for itself is not shortened.
func (v *Verdicts) Pause(d time.Duration) time.Duration {
	if v.New() {
		return min(d, FirstContact/4)
	}
	return d
}

// Asked is for how much longer a host that has not answered well yet has asked to be left alone: who comes back before has spoilt the
// one chance that such a host has.
func (v *Verdicts) Asked() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answered {
		return 0
	}
	return max(time.Until(v.until), 0)
}

// Tell says in the log, once, that a host is waited for after a failed try: at once when it has not answered yet, else when it takes long.
// pause is how long until the next try; 0: that is not known.
func (v *Verdicts) Tell(log *slog.Logger, host string, why error, pause time.Duration) {
	v.mu.Lock()
	now := time.Now()
	long := pause >= tellAfter || !v.since.IsZero() && now.Sub(v.since) >= tellAfter
	tell := why != nil && (long || !v.answered) && (v.told.IsZero() || now.Sub(v.told) > failuresApart)
	if tell {
		v.told = now
	}
	answered := v.answered
	v.mu.Unlock()
	switch {
	case !tell:
	case !answered:
		log.Warn("no good answer of the host yet", "host", host, "atMost", max(FirstContact, pause).Round(time.Second), "why", why)
	case pause > 0:
		log.Warn("waiting for the host", "host", host, "pause", pause.Round(time.Second), "why", why)
	default:
		log.Warn("waiting for the host", "host", host, "why", why)
	}
}

// maxHosts bounds the hosts of which verdicts are kept.
const maxHosts = 1000

// Hosts are verdicts by host. The zero value is ready. Safe for concurrent use.
type Hosts struct {
	mu sync.Mutex
	of map[string]*Verdicts
}

// Of returns the verdicts of a host, as a URL names it.
func (h *Hosts) Of(host string) *Verdicts {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.of[host]
	if v == nil {
		if h.of == nil || len(h.of) >= maxHosts {
			h.of = map[string]*Verdicts{}
		}
		v = new(Verdicts)
		h.of[host] = v
	}
	return v
}
