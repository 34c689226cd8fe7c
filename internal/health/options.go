package health

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"ociproxy/internal/oci"
)

// Options configure a [Monitor]. Zero fields take the documented defaults.
type Options struct {
	// Client makes the requests. Its redirect policy, time-out and cookies are not used, and an [http.Transport] is
	// cloned without keep-alive: each probe resolves, connects and makes its handshake as a new client would. Nil: a
	// client with sensible bounds.
	Client *http.Client
	// Logger gets one line for each transition; nil discards them.
	Logger *slog.Logger
	// Observe is called after each probe with one of [Results]; took is 0 when no request was made. Nil: not called.
	Observe func(name, result string, took time.Duration)
	// Missing is called when a target denies having a sampled object (403, 404, 410). Nil: not called.
	Missing func(name string, d oci.Digest)

	// Busy is how often candidates that clients are sent to are probed: 30 s. Idle is for the others: 5 min.
	Busy, Idle time.Duration
	// Confirm is the interval after a first failure: 1 s. Retry is the interval for ejected candidates: 10 s, or Busy
	// when that is shorter.
	Confirm, Retry time.Duration
	// First is the time within which a new candidate gets its first probe: 2 s.
	First time.Duration
	// Recent is how long a candidate stays busy: 10 min.
	Recent time.Duration
	// Burst is how far back a freeze undoes ejections: 30 s.
	Burst time.Duration
	// Timeout bounds a probe: 5 s. FirstByte bounds the wait for the answer's header: 3 s.
	Timeout, FirstByte time.Duration
	// Eject is how many failures in a row eject a candidate: 3. Readmit is how many good probes in a row bring it
	// back: 5.
	Eject, Readmit int
	// Proof is how many good probes in a row of one candidate, since more than half began to fail, show that our own
	// network works: 5. Negative: nothing shows it, and a freeze lasts until fewer than half fail.
	Proof int
	// InFlight bounds the probes under way: 32, each of at most 64 KiB.
	InFlight int
}

func (o *Options) setDefaults() {
	retry := 10 * time.Second
	if o.Busy > 0 {
		retry = min(retry, o.Busy)
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Observe == nil {
		o.Observe = func(string, string, time.Duration) {}
	}
	if o.Missing == nil {
		o.Missing = func(string, oci.Digest) {}
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&o.Busy, 30 * time.Second}, {&o.Idle, 5 * time.Minute},
		{&o.Confirm, time.Second}, {&o.Retry, retry},
		{&o.First, 2 * time.Second}, {&o.Recent, 10 * time.Minute}, {&o.Burst, 30 * time.Second},
		{&o.Timeout, 5 * time.Second}, {&o.FirstByte, 3 * time.Second},
	} {
		*d.v = cmp.Or(*d.v, d.d)
	}
	o.Eject = cmp.Or(o.Eject, 3)
	o.Readmit = cmp.Or(o.Readmit, 5)
	o.Proof = cmp.Or(o.Proof, 5)
	o.InFlight = cmp.Or(o.InFlight, 32)
}
