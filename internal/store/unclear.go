package store

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// unclear notes, in the context's counter, that a request may have had its effect though no good answer came: a write
// that is then refused because something is there may have met itself.
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

// counted is an answer's body that may break off.
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
