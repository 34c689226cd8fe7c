package store

import (
	"context"
	"io"
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

// guard ends a request that does not keep the minimum pace, in either direction. The time in which the caller does not read
// the answer, or has nothing to send yet, does not count.
type guard struct {
	next  http.RoundTripper
	limit time.Duration
}

// stalled is the error of a request that the guard ended. Being a time-out, it is tried again.
type stalled struct{ error }

func (e stalled) Unwrap() error   { return e.error }
func (e stalled) Timeout() bool   { return true }
func (e stalled) Temporary() bool { return true }

type patience struct{}

// withPatience lets the requests made under ctx stand still for d longer, as a copy inside the store does.
func withPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patience{}, d)
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	least := pace.Minimum{Bytes: pace.Window, Within: g.limit}
	if more, ok := req.Context().Value(patience{}).(time.Duration); ok {
		least.Within += more
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	slow := func() { cancel(stalled{least.Err()}) }
	out := least.Watch(slow)
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sent{req.Body, out}
	}
	out.Wait()
	resp, err := g.next.RoundTrip(req)
	out.Stop() // from now on only reading counts
	if err != nil {
		err = explain(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &received{ReadCloser: resp.Body, watch: least.Watch(slow), ctx: ctx, cancel: cancel}
	return resp, nil
}

// explain says why a request ended, when it was the guard.
func explain(ctx context.Context, err error) error {
	if s, ok := context.Cause(ctx).(stalled); ok { //nolint:errorlint // this package's own cause, never wrapped
		return s
	}
	return err
}

// sent is the body of a request.
type sent struct {
	io.ReadCloser
	watch *pace.Watch
}

func (s *sent) Read(p []byte) (int, error) { return s.watch.Send(s.ReadCloser, p) }

// received is the body of an answer.
type received struct {
	io.ReadCloser
	watch  *pace.Watch
	ctx    context.Context // of the request, for the reason of its end
	cancel context.CancelCauseFunc
}

func (r *received) Read(p []byte) (int, error) {
	n, err := r.watch.Read(r.ReadCloser, p)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = explain(r.ctx, err)
	}
	return n, err
}

func (r *received) Close() error {
	r.watch.Stop()
	r.cancel(nil)
	return r.ReadCloser.Close()
}
