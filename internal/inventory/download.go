package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"ociproxy/internal/fetch"
)

// maxRedirects is how many redirects a segment may take: none is usual.
const maxRedirects = 5

// download writes the segment at address to w and verifies it on the way. It is not a [fetch.Fetcher], which has its
// document in memory: a segment may be larger than what a proxy may use.
func download(ctx context.Context, client *http.Client, address string, ref SegmentRef, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTime(ref.Bytes))
	defer cancel()
	ctx, p, stop := withPace(ctx)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "oci-proxy")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
			return cause
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the caller names the address
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &fetch.StatusError{Code: resp.StatusCode}
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" {
		return fetch.ErrHTML
	}
	if resp.ContentLength >= 0 && resp.ContentLength != ref.Bytes {
		return bad("%d bytes, the head says %d", resp.ContentLength, ref.Bytes)
	}
	return receive(ctx, resp.Body, p, ref, w)
}

// receive writes the segment that body has to w, verifies it, and counts what arrives by p.
func receive(ctx context.Context, body io.Reader, p *pace, ref SegmentRef, w io.Writer) error {
	out := &sink{w: w}
	if err := verify(io.TeeReader(io.LimitReader(io.TeeReader(body, p), ref.Bytes+1), out), ref); err != nil {
		if out.err != nil {
			return &writeError{out.err}
		}
		if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
			return cause
		}
		return err
	}
	return nil
}

// ownSite is the side of an inventory that only its owner sees.
type ownSite struct{ bucket Bucket }

func (s ownSite) where(ref SegmentRef) string { return SegmentPrefix + ref.SHA256 }

func (s ownSite) download(ctx context.Context, ref SegmentRef, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTime(ref.Bytes))
	defer cancel()
	ctx, p, stop := withPace(ctx)
	defer stop()
	body, _, err := s.bucket.Get(ctx, s.where(ref))
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
			return cause
		}
		return err
	}
	defer body.Close()
	return receive(ctx, body, p, ref, w)
}

// downloadTime is how long a segment of n bytes may take: a minute, and a second for each further MB.
func downloadTime(n int64) time.Duration {
	return time.Minute + time.Duration(n>>20)*time.Second
}

// A download that brings less than minPace bytes within paceTime is given up: all stores share a few downloads at once, and
// those that drip must not keep the others from theirs.
const (
	paceTime = 30 * time.Second
	minPace  = 30 * 64 << 10 // 64 KiB a second
)

var errSlow = fmt.Errorf("less than %d KiB within %v", minPace>>10, paceTime)

// pace counts what arrives.
type pace struct{ n atomic.Int64 }

func (p *pace) Write(b []byte) (int, error) {
	p.n.Add(int64(len(b)))
	return len(b), nil
}

// withPace ends the context it returns, with errSlow, when too little is written to p. stop must be called.
func withPace(parent context.Context) (ctx context.Context, p *pace, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	p = &pace{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(paceTime)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if p.n.Swap(0) < minPace {
				cancel(errSlow)
				return
			}
		}
	}()
	return ctx, p, func() {
		cancel(context.Canceled)
		<-ended
	}
}

// sink remembers that writing failed, so that it is not taken for a fault of the sender.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// writeError is a fault of our disk.
type writeError struct{ err error }

func (e *writeError) Error() string { return fmt.Sprintf("keep segment: %v", e.err) }
func (e *writeError) Unwrap() error { return e.err }

// downloadClient is c with bounded redirects that never leave https.
func downloadClient(c *http.Client) *http.Client {
	client := http.Client{}
	if c != nil {
		client = *c
	}
	client.Timeout = 0 // the context bounds it
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
			return fetch.ErrRedirect
		}
		return nil
	}
	return &client
}
