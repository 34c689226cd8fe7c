package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
)

const (
	// maxWhole bounds the objects that are read completely, and the ranges.
	maxWhole = 64 << 10
	// maxManifest bounds objects that can only be read completely. Registries accept manifests of 4 MiB.
	maxManifest = 4 << 20
)

// result is the result of one probe.
type result struct {
	outcome outcome
	err     error // why it failed, or why it gives no signal
	object  Object
	kind    queryKind
	// missing says that the target denies having the object.
	missing bool
	// requested says that a request was sent.
	requested bool
}

// What probes read, in turn.
const (
	wholeTurn = iota
	rangeTurn
	resumeTurn
	turns
)

// probe reads one object, or a part of one, and judges the answer.
func (m *Monitor) probe(ctx context.Context, t *Target, turn int, kept Object) result {
	q, ok := choose(t, turn == wholeTurn, kept)
	if !ok {
		return result{outcome: barren}
	}
	if turn == resumeTurn && q.kind == byteRange && q.resumes(t) {
		q = resumeOf(q.object)
	}
	return m.judge(ctx, t, q)
}

// resumes reports whether to read from a position to the end. A proof always does. Other probes do where clients depend
// on it, which is not at registries, and where they know the position from which little is left: a server sends more of
// a large rest than is read here.
func (q *query) resumes(t *Target) bool { return t.Prove || !t.RangeOptional && q.object.Size > 0 }

// judge makes the request of q and judges the answer.
func (m *Monitor) judge(ctx context.Context, t *Target, q query) result {
	if t.Allow != nil && !t.Allow() {
		return result{outcome: neutral, err: errBudget, object: q.object}
	}
	err := m.ask(ctx, t, &q)
	r := result{err: err, object: q.object, kind: q.kind, requested: true}
	var status *statusError
	switch {
	case err == nil:
		r.outcome = pass
	case errors.As(err, &status):
		r.outcome = status.outcome()
		r.missing = status.missing() && !q.object.Digest.IsZero()
		if q.kind == ping && status.code == http.StatusUnauthorized {
			// A registry that asks for a token is alive.
			r.outcome, r.err = pass, nil
		}
	case ours(err):
		r.outcome = neutral
	default:
		r.outcome = fail
	}
	if r.err != nil {
		r.err = fmt.Errorf("%s: %w", q.String(), r.err)
	}
	return r
}

var errBudget = errors.New("the target's request quota is used up")

// query is the request of one probe.
type query struct {
	kind   queryKind
	object Object
	start  int64 // first byte of a range
	length int64 // of a range in bytes
}

type queryKind uint8

const (
	wholeObject queryKind = iota
	byteRange
	openRange // from a position to the end
	ping
)

// String returns what was asked, for errors. Digests are public; URLs may not be.
func (q *query) String() string {
	switch q.kind {
	case byteRange:
		return fmt.Sprintf("bytes %d-%d of %s", q.start, q.end(), q.object.Digest)
	case openRange:
		return fmt.Sprintf("bytes %d- of %s", q.start, q.object.Digest)
	case ping:
		return "ping"
	default:
		return q.object.Digest.String()
	}
}

// end returns the last byte of the range, counted as in the Range header.
func (q *query) end() int64 { return q.start + q.length - 1 }

// choose selects what to ask t for: a complete small object, or a random range of any object. When no object is known
// any more, it reads the last one again. Without one, it pings the target.
func choose(t *Target, whole bool, kept Object) (query, bool) {
	var o Object
	ok := false
	if t.Sample != nil {
		if whole {
			o, ok = t.Sample(maxWhole)
			ok = ok && o.Size <= maxWhole // the source may not know sizes
		}
		if !ok {
			o, ok = t.Sample(0)
		}
	}
	if !ok && kept.URL != "" {
		o, ok = kept, true
	}
	switch {
	case ok && (o.Whole || o.Size == 0 || whole && o.Size > 0 && o.Size <= maxWhole):
		return query{kind: wholeObject, object: o}, true
	case ok:
		return rangeOf(o), true
	case t.Ping != "":
		return query{kind: ping, object: Object{URL: t.Ping}}, true
	}
	return query{}, false
}

// rangeOf returns a range of o at a random offset.
func rangeOf(o Object) query {
	q := query{kind: byteRange, object: o, length: maxWhole}
	if o.Size > 0 {
		q.start = rand.Int64N(o.Size)
		q.length = min(maxWhole, o.Size-q.start)
	}
	return q
}

// resumeOf returns what a client asks that has all of o but its end. The end is at most maxWhole bytes; when the size
// is not known, as many bytes are read.
func resumeOf(o Object) query {
	q := query{kind: openRange, object: o, start: 1, length: maxWhole}
	if o.Size > 0 {
		q.length = min(1+rand.Int64N(maxWhole), max(1, o.Size-1))
		q.start = o.Size - q.length
	}
	return q
}

// statusError is an answer whose status is not a success.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// outcome returns the outcome of a status. One that means "not you", "not this" or "not now" says nothing about the
// target's health.
func (e *statusError) outcome() outcome {
	switch e.code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone,
		http.StatusTooManyRequests, http.StatusUnavailableForLegalReasons:
		return neutral
	}
	return fail
}

// missing reports whether the target denies having the object. S3 answers 403 for a missing object if the caller may
// not list.
func (e *statusError) missing() bool {
	return e.code == http.StatusNotFound || e.code == http.StatusForbidden || e.code == http.StatusGone
}

// ours reports whether err is about limits of this machine.
func ours(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, context.Canceled)
}
