package store

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/outbound"
)

const (
	defaultTimeout  = 60 * time.Second
	defaultParallel = 4
	window          = 1 << 20 // bytes that must move within Options.Timeout
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

// client makes the requests of a bucket. It follows no redirects: one means that the bucket is not where it was said to be.
func (o Options) client() *http.Client {
	next := o.Transport
	if next == nil {
		next = shared()
	}
	return &http.Client{
		Transport:     &guard{next: next, limit: o.timeout()},
		CheckRedirect: outbound.NoRedirect,
	}
}

// shared is the transport of all buckets that were not given one.
var shared = sync.OnceValue(func() *http.Transport {
	return outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Idle: 60 * time.Second,
		Connections: 256, Kept: 64, Buffer: 64 << 10,
	})
})

// guard ends a request that does not get on: one that has not moved another window of bytes, in either direction, within the limit.
// The time in which the caller does not read the answer does not count.
type guard struct {
	next  http.RoundTripper
	limit time.Duration
}

// stalled is the error of a request that the guard ended. Being a time-out, it is tried again.
type stalled struct{ after time.Duration }

func (e stalled) Error() string   { return "nothing moved for " + e.after.String() }
func (e stalled) Timeout() bool   { return true }
func (e stalled) Temporary() bool { return true }

type patience struct{}

// withPatience lets the requests made under ctx stand still for d longer, as a copy inside the store does.
func withPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patience{}, d)
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	limit := g.limit
	if more, ok := req.Context().Value(patience{}).(time.Duration); ok {
		limit += more
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() { cancel(stalled{limit}) })
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sent{ReadCloser: req.Body, watch: w}
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		err = w.explain(ctx, err)
		w.end()
		return nil, err
	}
	w.answered.Store(true)
	w.timer.Stop()
	resp.Body = &received{ReadCloser: resp.Body, watch: w, ctx: ctx}
	return resp, nil
}

// watch is the clock of one request.
type watch struct {
	timer    *time.Timer
	limit    time.Duration
	cancel   context.CancelCauseFunc
	answered atomic.Bool // from now on only reading counts
}

func (w *watch) end() {
	w.answered.Store(true)
	w.timer.Stop()
	w.cancel(nil)
}

// explain says why a request ended, when it was the guard.
func (w *watch) explain(ctx context.Context, err error) error {
	if s, ok := context.Cause(ctx).(stalled); ok { //nolint:errorlint // this package's own cause, never wrapped
		return s
	}
	return err
}

// sent is the body of a request: every window that is read of it starts the clock anew.
type sent struct {
	io.ReadCloser
	watch *watch
	moved int
}

func (s *sent) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.moved += n; (s.moved >= window || err != nil) && !s.watch.answered.Load() {
		s.moved = 0
		s.watch.timer.Reset(s.watch.limit)
	}
	return n, err
}

// received is the body of an answer: the clock runs while somebody reads.
type received struct {
	io.ReadCloser
	watch *watch
	ctx   context.Context // of the request, for the reason of its end
	moved int
	spent time.Duration // on reading this window
}

func (r *received) Read(p []byte) (int, error) {
	start := time.Now()
	r.watch.timer.Reset(max(r.watch.limit-r.spent, 1))
	n, err := r.ReadCloser.Read(p)
	r.watch.timer.Stop()
	r.spent += time.Since(start)
	if r.moved += n; r.moved >= window {
		r.moved, r.spent = 0, 0
	}
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = r.watch.explain(r.ctx, err)
	}
	return n, err
}

func (r *received) Close() error {
	r.watch.end()
	return r.ReadCloser.Close()
}
