package store

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// unclear counts, in the context's counter, requests that may have had their effect although no good answer came. If a
// later write is refused because the object exists, that object may be its own.
type unclear struct{ next http.RoundTripper }

type unclearKey struct{}

// countUnclear returns a context under which unclear counts in n.
func countUnclear(ctx context.Context, n *atomic.Int32) context.Context {
	return context.WithValue(ctx, unclearKey{}, n)
}

func (u *unclear) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.next.RoundTrip(req)
	n, ok := req.Context().Value(unclearKey{}).(*atomic.Int32)
	if !ok {
		return resp, err
	}
	if err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout {
		n.Add(1)
	}
	if err == nil {
		resp.Body = &counted{ReadCloser: resp.Body, n: n}
	}
	return resp, err
}

// counted is the body of an answer; it counts if the body breaks off.
type counted struct {
	io.ReadCloser
	n *atomic.Int32
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		c.n.Add(1)
	}
	return n, err
}
