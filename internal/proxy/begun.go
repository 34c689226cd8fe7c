package proxy

import (
	"hash/maphash"
	"time"

	"ociproxy/internal/reach"
)

// begun remembers which address began to download which blob from a candidate that package reach records nothing about:
// canonical, or one that a pin names. Safe for concurrent use.
type begun struct {
	seed maphash.Seed
	recent
}

func newBegun() *begun {
	return &begun{seed: maphash.MakeSeed(), recent: recent{start: time.Now(), unit: time.Minute, keep: 60}}
}

// rest reports whether q, which asks for all from some byte on, counts as the rest of the blob: it does unless the
// address began with the blob before. Then it was counted whole, and q resumes it or fetches its parts at once.
func (b *begun) rest(q *request) bool {
	if !q.get || q.peek || q.span.Kind != reach.Whole && q.span.Kind != reach.Open {
		return false
	}
	addr := q.client.Addr.As16()
	before := b.note(maphash.Bytes(b.seed, addr[:]) ^ maphash.String(b.seed, q.Digest.String()))
	return !before && q.span.Kind == reach.Open
}
