package store

import (
	"context"
	"net/http"
	"sync/atomic"
)

// unclear notes, for whoever asks under a context, that a request may have had its effect though no good answer came: a write that
// is then refused because something is there may have met itself.
type unclear struct{ next http.RoundTripper }

type unclearKey struct{}

// countUnclear returns a context under which unclear counts in n.
func countUnclear(ctx context.Context, n *atomic.Int32) context.Context {
	return context.WithValue(ctx, unclearKey{}, n)
}

func (u *unclear) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.next.RoundTrip(req)
	if n, ok := req.Context().Value(unclearKey{}).(*atomic.Int32); ok &&
		(err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout) {
		n.Add(1)
	}
	return resp, err
}
