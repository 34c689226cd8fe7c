package probe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/wait"
)

// Limits bound one run.
type Limits struct {
	Requests int64
	Bytes    int64 // of bodies
	Time     time.Duration
	Rate     float64 // requests a second, to all hosts together
}

// DefaultLimits are the bounds of a run that names none.
var DefaultLimits = Limits{Requests: 10000, Bytes: 1 << 30, Time: 10 * time.Minute, Rate: 20}

// errSpent says that a bound of the run was reached. It is no fault of the server that was to be asked.
var errSpent = errors.New("the bounds of the run are reached")

// meter counts requests and bytes, and refuses those beyond the bounds. Safe for concurrent use.
type meter struct {
	limits Limits
	pace   *rate.Limiter

	requests, bytes atomic.Int64
	spent           atomic.Bool
}

func newMeter(limits Limits) *meter {
	return &meter{limits: limits, pace: rate.NewLimiter(rate.Limit(limits.Rate), max(1, int(limits.Rate/4)))}
}

// begin waits until the requests so far are paid for, and returns the time then: the time that a check takes must not
// have the probe's own patience in it. The requests of one check may run ahead of the pace by as many as come at once.
func (m *meter) begin(ctx context.Context) time.Time {
	m.hold(ctx, 0)
	return time.Now()
}

// hold waits until at most ahead requests are not paid for.
func (m *meter) hold(ctx context.Context, ahead int) {
	due := -m.pace.Tokens() - float64(ahead)
	if due <= 0 {
		return
	}
	if wait.For(ctx, time.Duration(due/float64(m.pace.Limit())*float64(time.Second))) != nil {
		m.spent.Store(true) // the time of the run is over
	}
}

// over returns a transport that counts what next does. It does not wait.
func (m *meter) over(next http.RoundTripper) http.RoundTripper { return counted{next, m} }

// paced returns a transport that also waits before each request.
func (m *meter) paced(next http.RoundTripper) http.RoundTripper { return waiting{m.over(next), m} }

type waiting struct {
	next http.RoundTripper
	m    *meter
}

// RoundTrip implements [http.RoundTripper].
func (w waiting) RoundTrip(r *http.Request) (*http.Response, error) {
	w.m.hold(r.Context(), 0)
	return w.next.RoundTrip(r)
}

type counted struct {
	next http.RoundTripper
	*meter
}

// RoundTrip implements [http.RoundTripper].
func (m counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.spent.Load() || m.bytes.Load() >= m.limits.Bytes || m.requests.Add(1) > m.limits.Requests {
		m.spent.Store(true)
		return nil, errSpent
	}
	m.pace.Reserve() // who waits for it: see begin and hold
	resp, err := m.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &metered{ReadCloser: resp.Body, m: m.meter}
	return resp, nil
}

// made returns how many requests were made.
func (m *meter) made() int64 { return min(m.requests.Load(), m.limits.Requests) }

type metered struct {
	io.ReadCloser
	m *meter
}

func (b *metered) Read(p []byte) (int, error) {
	left := b.m.limits.Bytes - b.m.bytes.Load()
	if left <= 0 {
		b.m.spent.Store(true)
		return 0, errSpent
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), left)])
	b.m.bytes.Add(int64(n))
	return n, err
}

// ended reports whether err only says that the run is over, or its bounds are reached.
func ended(ctx context.Context, err error) bool {
	return errors.Is(err, errSpent) || ctx.Err() != nil
}

// tally collects findings. Safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	findings []Finding
	told     func(Finding)
}

func (t *tally) add(f Finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.findings = append(t.findings, f)
	if t.told != nil {
		t.told(f)
	}
}
