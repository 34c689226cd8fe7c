package admission

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// Cost is what a run takes from servers and from the time of the person who waits for it.
type Cost struct {
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"` // of bodies
	Seconds  float64 `json:"seconds"`
}

// errSpent is the error of requests and bodies for which the bounds of the run leave nothing.
var errSpent = errors.New("not asked: the run has reached its bound")

// meter counts the requests of a run, and refuses those that exceed its bounds. Safe for concurrent use.
type meter struct {
	most            Cost
	requests, bytes atomic.Int64
	spent           atomic.Bool
}

// wrap returns a transport that counts.
func (m *meter) wrap(next http.RoundTripper) http.RoundTripper { return &metered{next, m} }

// left returns how many bytes may still be read.
func (m *meter) left() int64 { return max(0, m.most.Bytes-m.bytes.Load()) }

// take counts requests that other programs make.
func (m *meter) take(requests, bytes int64) {
	m.requests.Add(requests)
	m.bytes.Add(bytes)
}

type metered struct {
	next http.RoundTripper
	*meter
}

// RoundTrip implements [http.RoundTripper].
func (m *metered) RoundTrip(req *http.Request) (*http.Response, error) {
	if m.requests.Load() >= m.most.Requests || m.left() == 0 {
		m.spent.Store(true)
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errSpent
	}
	m.requests.Add(1)
	resp, err := m.next.RoundTrip(req)
	if err == nil {
		resp.Body = &counted{resp.Body, m.meter}
	}
	return resp, err
}

// CloseIdleConnections is what [http.Client] calls.
func (m *metered) CloseIdleConnections() {
	if c, ok := m.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type counted struct {
	io.ReadCloser
	m *meter
}

func (c *counted) Read(p []byte) (int, error) {
	left := c.m.left()
	if left == 0 && len(p) > 0 {
		// A body that ends here is complete.
		if n, err := c.ReadCloser.Read(p[:1]); n == 0 && err != nil {
			return 0, err
		}
		c.m.spent.Store(true)
		return 0, errSpent
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), left)])
	c.m.bytes.Add(int64(n))
	return n, err
}
