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
)

// Limits bound one run.
type Limits struct {
	Requests int64
	Bytes    int64 // of bodies
	Time     time.Duration
	Rate     float64 // requests a second, to all hosts together
}

// DefaultLimits are the bounds of a run that names none.
var DefaultLimits = Limits{Requests: 5000, Bytes: 1 << 30, Time: 10 * time.Minute, Rate: 20}

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

// over returns a transport that counts what next does.
func (m *meter) over(next http.RoundTripper) http.RoundTripper { return counted{next, m} }

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
	if err := m.pace.Wait(r.Context()); err != nil {
		return nil, err
	}
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
