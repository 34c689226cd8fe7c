package store

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// gcsResumes limits how often in a row a body is requested again without receiving a byte. The library limits only the
// requests that fail: a server that answers well and sends no body would hold it forever.
type gcsResumes struct{ next http.RoundTripper }

// resumes counts, under a context of one Get, the answers since the last byte of a body.
type resumes struct {
	idle  atomic.Int32
	broke atomic.Value // a brokenBody, the last one
}

type brokenBody struct{ why error }

type resumesKey struct{}

// RoundTrip implements [http.RoundTripper].
func (g *gcsResumes) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := req.Context().Value(resumesKey{}).(*resumes)
	if !ok {
		return g.next.RoundTrip(req)
	}
	if broke, ok := r.broke.Load().(brokenBody); ok && r.idle.Load() > resumeTries {
		return nil, final{fmt.Errorf("the body ended early %d times in a row: %w", r.idle.Load(), broke.why)}
	}
	resp, err := g.next.RoundTrip(req)
	if err == nil && resp.StatusCode < http.StatusMultipleChoices {
		r.idle.Add(1)
		resp.Body = &resumable{resp.Body, r}
	}
	return resp, err
}

// resumable is a body that may be requested again from where it broke off.
type resumable struct {
	io.ReadCloser
	r *resumes
}

func (b *resumable) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.r.idle.Store(0)
	}
	if err != nil {
		b.r.broke.Store(brokenBody{err})
	}
	return n, err
}
