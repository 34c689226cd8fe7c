package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"ociproxy/internal/clientip"
	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/ranges"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
)

// answer is what one request gets, and what its metrics and log line are made of.
type answer struct {
	class    class
	status   int
	location string // with 307
	body     []byte
	json     bool
	api      bool          // carry the API version header
	link     string        // Link of a relayed list
	retry    bool          // ask the client to come again, in a second when after does not say
	after    time.Duration // whole seconds
	err      error         // for the log; the client reads only body
	gone     bool          // the client went away: no error of ours
	done     func()        // frees what the answer holds, once it is written; nil: nothing

	decided  bool
	req      oci.Request
	client   route.Client
	source   clientip.Source
	decision route.Decision
	asked    bool // the one round of checks was made
	listing  listing
	told     bool  // somebody has said of what size the blob is
	size     int64 // of the blob in bytes, for the candidate of the decision; 0 unknown
	span     reach.Span
	rest     bool // of the blob, from the span's start on
}

// bytes is how many bytes of a blob the client asked for; 0 when that is not known.
func (a *answer) bytes(method string) int64 {
	switch {
	case method != http.MethodGet || a.size <= 0:
		return 0
	case a.rest:
		return max(0, a.size-a.span.First)
	default:
		return a.span.Bytes(a.size)
	}
}

// class is the metric label of a request.
type class uint8

const (
	classBase class = iota
	classBlob
	classManifest
	classTag
	classReferrers
	classTags
	classPage
	classProbe
	classInvalid
	numClasses
)

var classNames = [numClasses]string{"base", "blob", "manifest", "tag", "referrers", "tags", "page", "probe", "invalid"}

func classOf(k oci.Kind) class { return class(k) } // the same order, asserted by a test

// answer decides what r gets, into a. It writes nothing.
func (s *Server) answer(w *world, r *http.Request, a *answer) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		a.refuse(oci.ErrMethod)
		return
	}
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/v2") {
		s.answerPage(w, r, path, a)
		return
	}
	req, err := oci.Parse(path, r.URL.RawQuery)
	if err != nil {
		a.refuse(err)
		return
	}
	a.req, a.class = req, classOf(req.Kind)
	addr, source := w.address.From(r.RemoteAddr, r.Header)
	a.source = source
	if req.Kind == oci.KindBase {
		a.status, a.body, a.json, a.api = http.StatusOK, emptyObject, true, true
		a.client.Addr = addr
		a.decided = true
		a.decision.Candidate = route.NoCandidate
		return
	}
	a.client = w.client(addr, w.ranges.Locate(addr))
	if n := w.name(r.Host); n != nil {
		a.client.Confined = n.confined
		if n.limit != nil && !n.limit.Allow() {
			n.limited.Inc()
			a.refuse(oci.ErrTooManyRequests)
			return
		}
	}
	w.places.note(a.client.Ranking.ID)
	a.decided = true
	st := s.resolve(r.Context(), w, a)
	s.lookAgain(r, w, a, &st)
	s.retry(r, w, a, &st)
	s.stay(r.Context(), w, a, &st, false)
	s.act(r.Context(), w, a)
	s.stayed(w, a)
	a.size = s.sizeAt(w, a, a.decision.Candidate)
	w.sampleManifest(r, a)
	s.checkAfterwards(w, a)
}

var emptyObject = []byte("{}")

// refuse answers with an error of the specification.
func (a *answer) refuse(err error) {
	e := oci.ErrUnavailable
	_ = errors.As(err, &e)
	a.err = err
	if !a.decided && e.Status != http.StatusTooManyRequests { // what is too much for a name is well-formed
		a.class = classInvalid
	}
	a.status, a.body, a.json = e.Status, e.Body(), true
	a.retry = e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

// client is what routing knows of addr, which is at.
func (w *world) client(addr netip.Addr, at ranges.Client) route.Client {
	c := route.Client{Addr: addr, Place: at.Place, Spot: at.Spot, HasSpot: at.HasSpot}
	c.Ranking = w.snapshot.Ranking(&c)
	return c
}

// resolve decides, finding out what the decision needs: first from memory, then by at most route.MaxChecks
// requests within one budget. It returns the state that the decision rests on.
func (s *Server) resolve(ctx context.Context, w *world, a *answer) route.State {
	st := route.State{Usable: w.health.Usable(), Unknown: w.all}
	w.listed(a, &st)
	// Most requests are answered by the first of the ranking: to know about it now saves deciding twice.
	if i := a.client.Ranking.First(&a.req); i >= 0 && i != w.snapshot.Canonical && a.req.Kind != oci.KindTags {
		s.recall(w, a, i, &st)
	}
	s.settle(ctx, w, a, &st, false)
	return st
}

// settle decides with st, and again with what it learns or with one candidate less, until the answer stands. With
// usable, nothing but a usable candidate will do: a last resort is not charged for.
func (s *Server) settle(ctx context.Context, w *world, a *answer, st *route.State, usable bool) {
	var over set.Set // beyond their quota
	for {
		a.decision = route.Decide(&a.req, &a.client, w.snapshot, st)
		if a.decision.Action == route.Check {
			s.fill(ctx, w, a, st)
			continue
		}
		i := a.decision.Candidate
		if i == route.NoCandidate || usable && !st.Usable.Has(i) {
			return
		}
		if st.Holds.Has(i) && a.req.Kind == oci.KindBlob && w.doubts.Denies(i, a.req.Digest) {
			st.Holds.Remove(i)
			continue
		}
		if !over.Has(i) && w.allow(i) {
			return
		}
		if over.Has(i) { // even the last resort is
			a.refuse(oci.ErrTooManyRequests)
			return
		}
		s.metrics.Limited.WithLabelValues(w.snapshot.Candidates[i].Name).Inc()
		over.Add(i)
		st.Usable.Remove(i)
	}
}

// fill learns what the decision needs and writes it into st.
func (s *Server) fill(ctx context.Context, w *world, a *answer, st *route.State) {
	need := a.decision.Need[:]
	unknown := 0
	for _, i := range need {
		if i != route.NoCandidate && !s.recall(w, a, i, st) {
			unknown++
		}
	}
	if unknown == 0 {
		return
	}
	if a.asked {
		// One round of checks is all a request gets. What others asked for meanwhile still counts.
		st.Final = true
		for i := range w.snapshot.Candidates {
			s.recall(w, a, i, st)
		}
		return
	}
	a.asked = true
	targets := make([]existence.Target, 0, route.MaxChecks)
	size := s.agreedSize(w, a)
	for _, i := range need {
		if i != route.NoCandidate && st.Unknown.Has(i) && w.allow(i) {
			t := w.target(i, &a.req)
			t.Size = size
			targets = append(targets, t)
		}
	}
	s.checker.Check(ctx, route.Network(a.client.Addr), targets)
}

// recall moves candidate i from unknown to what is remembered about it, and reports whether anything is.
func (s *Server) recall(w *world, a *answer, i int, st *route.State) bool {
	if !st.Unknown.Has(i) {
		return true
	}
	known, ok := s.checker.Lookup(w.key(i, &a.req))
	if !ok {
		return false
	}
	st.Unknown.Remove(i)
	if known.Failed {
		st.Silent.Add(i)
	}
	if known.Held {
		st.Holds.Add(i)
		a.told = a.told || known.Size > 0
	}
	return true
}

// key names what req asks for at candidate i.
func (w *world) key(i int, req *oci.Request) existence.Key {
	c := &w.snapshot.Candidates[i]
	k := existence.Key{Origin: c.Origin, Kind: req.Kind, Ref: req.Digest.String()}
	if c.Kind == route.Upstream {
		k.Name = req.Name
	}
	if req.Kind == oci.KindTag {
		k.Ref = req.Tag
	}
	return k
}

// allow takes one of candidate i's quota for a client.
func (w *world) allow(i int) bool { return w.quotas[i].client() }

// spare takes one of it for what no client waits for.
func (w *world) spare(i int) bool { return w.quotas[i].spare() }

// act turns the decision into an answer.
func (s *Server) act(ctx context.Context, w *world, a *answer) {
	if a.status != 0 {
		return // refused
	}
	switch a.decision.Action {
	case route.Deny:
		a.refuse(oci.ErrDenied)
	case route.Relay:
		s.relay(ctx, w, a)
	default:
		a.status = http.StatusTemporaryRedirect
		a.location = w.snapshot.Candidates[a.decision.Candidate].Location(a.req)
	}
}
