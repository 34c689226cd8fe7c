package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/probeid"
	"ociproxy/internal/ranges"
	"ociproxy/internal/route"
)

// response is what a client gets, and what the log says about the reason.
type response struct {
	status   int
	location string // with 307
	rid      string // the id that it carries; "" for none
	body     []byte
	json     bool
	shared   *document     // instead of body: a page that caches may keep
	api      bool          // carry the API version header
	link     string        // Link of a relayed list
	probe    string        // to a probe: what became of its identity
	retry    bool          // ask the client to come again: in a second if after is 0
	after    time.Duration // whole seconds
	err      error         // for the log; the client reads only body
	gone     bool          // the client went away: no error of ours
	done     func()        // frees what the response holds, once it is written; nil: nothing

	// by is the candidate that answers, or that the client is sent to, and why the proxy chose it.
	by  int
	why route.Reason
}

// answer parses r, decides and makes the response. It writes nothing.
func (s *Server) answer(w *wiring, r *http.Request, q *request, d *decision) response {
	d.Candidate = route.NoCandidate
	if no := w.identify(r, q); no != nil {
		q.class = classInvalid
		return refusal(no)
	}
	if err := w.parse(r, q); err != nil {
		return refusal(err)
	}
	switch {
	case q.class == classPage:
		return s.page(w, r, q)
	case q.Kind == oci.KindBase:
		return response{status: http.StatusOK, body: emptyObject, json: true, api: true, by: route.NoCandidate}
	}
	s.decide(r.Context(), w, q, d)
	a := s.respond(r.Context(), w, q, d)
	if q.peek {
		return a
	}
	w.places.note(q.client.Ranking.ID)
	s.stayed(w, q, &a)
	w.sampleManifest(q, d)
	s.checkAfterwards(w, q, d)
	return a
}

var emptyObject = []byte("{}")

// respond turns a decision into a response.
func (s *Server) respond(ctx context.Context, w *wiring, q *request, d *decision) response {
	switch {
	case d.refused != nil:
		a := refusal(d.refused)
		a.by, a.why = d.Candidate, d.Reason
		return a
	case d.Action == route.Deny:
		return refusal(oci.ErrDenied)
	case d.Action == route.Relay:
		return s.relay(ctx, w, q, d)
	default:
		c := &w.snapshot.Candidates[d.Candidate]
		a := response{status: http.StatusTemporaryRedirect, location: c.Location(q.Request), by: d.Candidate, why: d.Reason}
		if c.RequestID && q.Kind == oci.KindBlob {
			// Nobody can guess it, and it says nothing about the client.
			a.rid = rand.Text()
			a.location += ridQuery + a.rid
		}
		return a
	}
}

// ridQuery begins the query of a redirect that carries an id. The URLs of stores have no query. Amazon S3 documents that it
// ignores parameters that begin with x-, and writes them into its log.
const ridQuery = "?x-rid="

// refusal answers with an error of the specification.
func refusal(err error) response {
	e := oci.ErrUnavailable
	_ = errors.As(err, &e)
	return response{
		status: e.Status, body: e.Body(), json: true, err: err, by: route.NoCandidate,
		retry: e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable,
	}
}

// client returns what routing knows of addr, whose place is at.
func (w *wiring) client(addr netip.Addr, at ranges.Client) route.Client {
	c := route.Client{Addr: addr, Place: at.Place, Spot: at.Spot, HasSpot: at.HasSpot}
	c.Ranking = w.snapshot.Ranking(&c)
	return c
}

// write sends the response, with its body only if body is true. Every response forbids caching, except that of a
// document: a cache in front must never give one client another client's answer.
func (a *response) write(rw http.ResponseWriter, body, draining bool) {
	head := rw.Header()
	if draining { // closes the connection after the answer; idle ones stay open for requests on their way
		head["Connection"] = closing
	}
	if a.shared != nil {
		a.shared.write(rw, a.status, body)
		return
	}
	head["Cache-Control"] = noStore
	if a.api {
		head["Docker-Distribution-Api-Version"] = apiVersion
	}
	if a.location != "" {
		head["Location"] = []string{a.location}
	}
	if a.link != "" {
		head["Link"] = []string{a.link}
	}
	if a.probe != "" {
		head[probeid.Header] = []string{a.probe}
	}
	if a.retry {
		head["Retry-After"] = retrySecond
		if a.after > time.Second {
			head["Retry-After"] = []string{strconv.Itoa(int((a.after + time.Second - 1) / time.Second))}
		}
	}
	if a.status == http.StatusMethodNotAllowed {
		head["Allow"] = allowed
	}
	if len(a.body) == 0 {
		head["Content-Length"] = lengthZero
		rw.WriteHeader(a.status)
		return
	}
	if a.json {
		head["Content-Type"] = typeJSON
	} else {
		head["Content-Type"] = []string{"text/plain; charset=utf-8"}
	}
	head["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	rw.WriteHeader(a.status)
	if body {
		_, _ = rw.Write(a.body) // an error means that the client has gone
	}
}
