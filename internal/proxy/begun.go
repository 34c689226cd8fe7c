package proxy

import (
	"hash/maphash"
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/reach"
)

// begun remembers which address began to download which blob from a candidate that package reach records nothing about:
// canonical, or one that a pin names. Safe for concurrent use.
type begun struct {
	seed maphash.Seed
	recent
	// sizes limits how often canonical is asked for nothing but a size: strangers can ask for any number of digests that
	// no store knows.
	sizes *rate.Limiter
}

// sizesPerSecond is enough for the sizes of 100 000 blobs, which is all that is remembered, in less than two hours.
const sizesPerSecond = 20

func newBegun() *begun {
	return &begun{seed: maphash.MakeSeed(), recent: recent{start: time.Now(), unit: time.Minute, keep: 60},
		sizes: rate.NewLimiter(sizesPerSecond, sizesPerSecond)}
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
