package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/probeid"
	"ociproxy/internal/route"
)

// An operator's probe asks as a client at any address (package probeid). It must see what that client would get, and
// must change nothing: its requests are no evidence of what clients do or get. So they write none of the state about
// clients and candidates, and count apart. What they cost (checks, tag lists) counts against the network that really
// sends them.

// probeKeys returns what verifies the identities that cfg accepts; nil: the header is ignored.
func probeKeys(cfg *config.Config, old *wiring) *probeid.Keys {
	if !cfg.Probe.Enabled() {
		return nil
	}
	keys := make([]probeid.Key, len(cfg.Probe.Keys))
	for i, k := range cfg.Probe.Keys {
		keys[i] = probeid.Key{Name: k.Name, Public: k.Key}
	}
	var before *probeid.Keys
	if old != nil {
		before = old.probes
	}
	return probeid.New(keys, cfg.Probe.MaxRPS, before)
}

// identify reads the probe identity of r into q, if r has one and the config has keys. The error is the answer to an
// identity that is not accepted.
func (w *wiring) identify(r *http.Request, q *request) *oci.Error {
	if w.probes == nil {
		return nil
	}
	values := r.Header[probeid.Header]
	if len(values) == 0 {
		return nil
	}
	q.peer, _ = w.address.From(r.RemoteAddr, r.Header)
	q.probe = w.probes.Verify(values, &probeid.Request{
		Method: r.Method, Host: r.Host, Path: target(r), Network: q.network(), Now: time.Now(),
	})
	if !q.probe.Client.IsValid() {
		q.probe.Client = q.peer
	}
	q.peek = true
	if q.probe.Outcome == probeid.Expired {
		return identityErrors[probeid.Expired].With(clocksDiffer(q.probe.Ahead))
	}
	return identityErrors[q.probe.Outcome]
}

// target returns the path and query as they were sent.
func target(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI() // the request names the host too; or a program made it
}

// identityErrors are the answers to identities that are not accepted. They say what to do, and nothing that a stranger sent.
var identityErrors = map[probeid.Outcome]*oci.Error{
	probeid.Malformed: oci.ErrDenied.With("the probe identity is malformed: send the header " + probeid.Header +
		" once, as `oci-proxyctl probe` writes it, with an address that a client can have"),
	probeid.Expired: oci.ErrDenied,
	probeid.ForeignKey: oci.ErrDenied.With("the probe identity is of a key that this server does not have: " +
		"add the public key to `probe.keys` of its config, or sign with another key"),
	probeid.Forged: oci.ErrDenied.With("the signature of the probe identity does not fit this request: " +
		"sign the method, host and path of each request; a front must pass Host and path as they were sent"),
	probeid.Replayed: oci.ErrDenied.With("the probe identity was used before: sign each request again; " +
		"a front that repeats requests by itself causes this too"),
	probeid.Limited: oci.ErrTooManyRequests.With("too many probe requests: come again later, " +
		"or raise `probe.maxRPS` of the server's config"),
}

func clocksDiffer(ahead time.Duration) string {
	which := "ahead of"
	if ahead < 0 {
		which = "behind"
	}
	return fmt.Sprintf("the probe identity has expired: the clock that signed it is %.0f s %s this server's, and %.0f s are allowed: "+
		"set the clocks, and send each request as soon as it is signed", ahead.Abs().Seconds(), which, probeid.Life.Seconds())
}

// report returns what a prober learns beside the answer: the outcome, and the decision if there is one. Without it, a
// prober could not tell that a front has removed its identity, or that another 403 is meant.
func (w *wiring) report(q *request, a *response) string {
	out := q.probe.Outcome.String()
	if q.client.Ranking != nil { // the client was located: /v2/ and pages do not need it
		out += "; place=" + q.client.Place.String()
		if a.by >= 0 {
			out += "; candidate=" + w.snapshot.Candidates[a.by].Name + "; reason=" + a.why.String()
		}
	}
	return out
}

// probed reports whether the request has a probe identity, accepted or not.
func (q *request) probed() bool { return q.probe.Outcome != probeid.Absent }

// network returns the network that pays for what the request costs.
func (q *request) network() netip.Prefix { return route.Network(q.peer) }
