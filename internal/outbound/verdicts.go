package outbound

import (
	"log/slog"
	"sync"
	"time"
)

// These times say how long a host may refuse connections before that counts as final: refusedFirst for a host that
// never answered, refusedRestart for a host that did, and may be restarting. Failures further apart than failuresApart
// are unrelated.
const (
	refusedFirst   = time.Second
	refusedRestart = 30 * time.Second
	failuresApart  = time.Minute
)

// These times limit how long a host is asked that has not answered well in this run, whatever it answers. Such a host
// is more likely a wrong host or out of order than busy, and the operator is waiting for a result. If its first answer
// says when to come again, the client waits for that, provided it is soon.
const (
	FirstContact = 10 * time.Second // from the first attempt on
	FirstPause   = 30 * time.Second // the longest pause that such a host may ask for
	FirstAnswer  = 30 * time.Second // the longest time that one attempt may stand still
)

// tellAfter is how long the client waits for a host that has answered before without logging it.
const tellAfter = 10 * time.Second

// Verdicts decides for one host whether another attempt soon can help. The zero value is ready. Several goroutines may
// call its methods.
type Verdicts struct {
	mu          sync.Mutex
	since, last time.Time // of the current failures in a row: start of the first, end of the last; zero: there are none
	refused     time.Time // start of the current refusals of connections in a row; zero: there are none
	until       time.Time // the host asks clients to wait until then
	answered    bool      // well, at least once
	told        time.Time
}

// Outcome is how one attempt ended.
type Outcome struct {
	Began time.Time // zero: now
	// Err is nil when a good answer came, even a negative one. A host that says it is busy or broken has not
	// answered well.
	Err error
	// Asked is how long the host asks clients to wait. 0 means that it does not say.
	Asked time.Duration
}

// Final records how an attempt ended, and reports whether another attempt is useless. That is so at once for a
// [Certain] failure. It is so when the host has refused connections for a second, or for half a minute if it has
// answered before. It is also so when the host has not answered well within [FirstContact], or asks for more time than
// it gets at the first contact.
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

// New reports whether the host has not answered well yet.
func (v *Verdicts) New() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.answered
}

// Pause returns how long to wait before the next attempt, when d is the usual pause. At the first contact it is
// shorter, because there is little time. Do not use it for a pause that the host itself asked for.
func (v *Verdicts) Pause(d time.Duration) time.Duration {
	if v.New() {
		return min(d, FirstContact/4)
	}
	return d
}

// Asked returns how much longer a host that has not answered well yet has asked clients to wait. A client that comes
// back earlier wastes the only chance that such a host gets.
func (v *Verdicts) Asked() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answered {
		return 0
	}
	return max(time.Until(v.until), 0)
}

// Tell logs, once, that the client waits for a host after a failed attempt. It logs at once when the host has not
// answered well yet, and otherwise when the wait is long. pause is the time until the next attempt; 0 means that it is
// not known.
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

// maxHosts bounds the number of hosts whose verdicts are kept.
const maxHosts = 1000

// Hosts has the verdicts of each host. The zero value is ready. It is safe for concurrent use.
type Hosts struct {
	mu sync.Mutex
	of map[string]*Verdicts
}

// Of returns the verdicts of a host, in the spelling of a URL.
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
