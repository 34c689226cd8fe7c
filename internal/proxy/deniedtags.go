package proxy

import (
	"context"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/metrics"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// While a digest is denied, the proxy refuses the tags that point to it. Only the candidate that would answer knows
// what a tag points to there, so the proxy asks it by HEAD. Without a denied digest, nothing here runs.
//
// A tag of which nothing can be learnt in time is served: an upstream that is slow, or that answers only with
// credentials, would otherwise take all tags away as soon as one digest is denied. A tag that was seen at a denied
// digest stays refused until an answer says otherwise.

const (
	// tagFresh is how long the proxy remembers what a tag points to: a tag that moves is seen again within this time.
	tagFresh = 15 * time.Second
	// tagAgain is how long the proxy does not ask again after it could not learn it.
	tagAgain = 5 * time.Second
	// maxTags bounds the tags that are remembered: some 1 MB.
	maxTags = 4096
)

// tagVerdict is what is known about the tag of a request.
type tagVerdict uint8

const (
	tagUnasked tagVerdict = iota
	tagFine
	tagDenied
	tagUnknown
)

var tagResults = [...]string{tagFine: metrics.TagFine, tagDenied: metrics.TagDenied, tagUnknown: metrics.TagUnknown}

// contentsOf returns the contents that tags must not point to; nil for none.
func contentsOf(denied []oci.Digest) map[uint64]struct{} {
	if len(denied) == 0 {
		return nil
	}
	out := make(map[uint64]struct{}, len(denied))
	for _, d := range denied {
		out[existence.ContentOf(d.String())] = struct{}{}
	}
	return out
}

// refuseDenied turns d into a refusal when the tag of q points to a denied digest at the candidate that would answer.
func (s *Server) refuseDenied(ctx context.Context, w *wiring, q *request, d *decision) {
	i := d.Candidate
	if i == route.NoCandidate || d.refused != nil {
		return
	}
	d.tag, d.tagHas = s.judgeTag(ctx, w, q, i)
	d.tagAt = i
	if !q.peek {
		s.metrics.DeniedTags.WithLabelValues(tagResults[d.tag]).Inc()
	}
	if d.tag == tagDenied {
		d.Decision = route.Decision{Action: route.Deny, Candidate: route.NoCandidate, Reason: route.Denied}
	}
}

// judgeTag says whether the tag of q points to a denied digest at candidate i. It asks i unless it did so lately.
func (s *Server) judgeTag(ctx context.Context, w *wiring, q *request, i int) (v tagVerdict, content uint64) {
	key := w.key(i, &q.Request)
	known, again := s.tags.get(key, time.Now())
	if again && w.allow(q, i) {
		t := w.target(i, &q.Request)
		t.Trusted, t.Unobserved = i == w.snapshot.Canonical, q.probed()
		a, ok := s.checker.CheckAgain(ctx, q.network(), t)
		known = s.tags.put(key, a, ok && !a.Failed && (!a.Held || a.Content != 0), time.Now(), w.deniedTags)
	}
	_, denied := w.deniedTags[known.content]
	switch {
	case denied:
		return tagDenied, known.content
	case known.sure:
		return tagFine, 0
	default:
		return tagUnknown, 0
	}
}

// tagMemory remembers what tags point to. The zero value is empty. Safe for concurrent use.
type tagMemory struct {
	mu sync.Mutex
	of map[existence.Key]tagSeen
}

// tagSeen is what is remembered of one tag.
type tagSeen struct {
	content uint64 // that it was last seen at; 0: none
	sure    bool   // the last question was answered
	asked   time.Time
}

func (t *tagSeen) old(now time.Time) bool {
	age := now.Sub(t.asked)
	return age >= tagFresh || !t.sure && age >= tagAgain
}

// get returns what is known of a tag, and whether to ask again.
func (m *tagMemory) get(key existence.Key, now time.Time) (known tagSeen, again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.of[key]
	return known, !ok || known.old(now)
}

// put remembers an answer, if ok, and returns what is known now. Tags of denied contents are forgotten last: a client that
// asks for many other tags must not make the proxy serve one of them.
func (m *tagMemory) put(key existence.Key, a existence.Answer, ok bool, now time.Time, denied map[uint64]struct{}) tagSeen {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, have := m.of[key]
	known.sure, known.asked = ok, now
	if ok {
		known.content = a.Content
	}
	if !have {
		m.makeRoom(now, denied)
		// The request's strings are parts of a larger buffer: keep copies.
		key.Name, key.Ref = strings.Clone(key.Name), strings.Clone(key.Ref)
	}
	if m.of == nil {
		m.of = map[existence.Key]tagSeen{}
	}
	m.of[key] = known
	return known
}

// makeRoom forgets tags when there are too many: first those that would be asked again, then others, and those of denied
// contents last. m.mu is held.
func (m *tagMemory) makeRoom(now time.Time, denied map[uint64]struct{}) {
	if len(m.of) < maxTags {
		return
	}
	isDenied := func(t tagSeen) bool {
		_, is := denied[t.content]
		return is
	}
	for key, t := range m.of {
		if t.old(now) && !isDenied(t) {
			delete(m.of, key)
		}
	}
	for _, all := range []bool{false, true} {
		for key, t := range m.of {
			if len(m.of) < maxTags {
				return
			}
			if all || !isDenied(t) {
				delete(m.of, key)
			}
		}
	}
}
