package store

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/pace"
)

const (
	defaultTimeout  = 60 * time.Second
	defaultParallel = 4
)

func (o Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return defaultTimeout
}

func (o Options) parallel() int {
	if o.Parallel > 0 {
		return o.Parallel
	}
	return defaultParallel
}

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// client returns the client for a bucket's requests. It follows no redirects: a redirect means that the bucket is not
// where the config says.
func (o Options) client() *http.Client {
	next := o.Transport
	if next == nil {
		next = shared()
	}
	contact := &outbound.Verdicts{}
	if o.Learned != nil {
		contact = &o.Learned.contact
	}
	return &http.Client{
		Transport:     &attempts{outbound.Explaining(&guard{next: next, limit: o.timeout(), contact: contact}), contact, o.logger()},
		CheckRedirect: outbound.NoRedirect,
	}
}

// shared returns the transport of all buckets that were not given one.
var shared = sync.OnceValue(func() *http.Transport {
	return outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Idle: 60 * time.Second,
		Connections: 256, Kept: 64, Buffer: 64 << 10,
	})
})

// guard ends a request that does not keep the minimum pace, in either direction. Time in which the caller does not read
// the answer, or has nothing to send yet, does not count.
type guard struct {
	next    http.RoundTripper
	limit   time.Duration
	contact *outbound.Verdicts // a host that has never answered well gets less time
}

// stalled is the error of a request that guard ended. It is a time-out, so the request is tried again.
type stalled struct{ error }

func (e stalled) Unwrap() error   { return e.error }
func (e stalled) Timeout() bool   { return true }
func (e stalled) Temporary() bool { return true }

type patience struct{}

// withPatience lets requests made under ctx make no progress for d longer. A copy inside the store needs that.
func withPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patience{}, d)
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	least := pace.Minimum{Bytes: pace.Window, Within: g.limit}
	if asks := req.Method == http.MethodGet || req.Method == http.MethodHead; asks && g.contact.New() {
		least.Within = min(least.Within, outbound.FirstAnswer)
	}
	if more, ok := req.Context().Value(patience{}).(time.Duration); ok {
		least.Within += more
	}
	return pace.RoundTrip(g.next, req, least, stalled{least.Err()})
}
