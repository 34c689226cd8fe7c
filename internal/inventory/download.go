package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"ociproxy/internal/fetch"
	"ociproxy/internal/outbound"
	"ociproxy/internal/pace"
)

// Origin is where segments come from.
type Origin interface {
	// Open begins to read a segment. The caller checks that it is the right one and arrives fast enough, and closes
	// the body.
	Open(ctx context.Context, ref SegmentRef) (body io.ReadCloser, err error)
	// Where names the segment in messages.
	Where(ref SegmentRef) string
}

// site is the published side of an inventory. It does not use [fetch.Fetcher], which keeps its document in memory: a
// segment may be larger than the memory that a proxy may use.
type site struct {
	client *http.Client
	base   string
}

// Where implements [Origin].
func (s site) Where(ref SegmentRef) string { return s.base + SegmentPrefix + ref.SHA256 }

// Open implements [Origin].
func (s site) Open(ctx context.Context, ref SegmentRef) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Where(ref), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "oci-proxy")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := s.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the caller names the address
		}
		return nil, err
	}
	if err := usable(resp, ref); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// usable returns why a response cannot be the segment.
func usable(resp *http.Response, ref SegmentRef) error {
	if resp.StatusCode != http.StatusOK {
		return &fetch.StatusError{Code: resp.StatusCode}
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" {
		return fetch.ErrHTML
	}
	if resp.ContentLength >= 0 && resp.ContentLength != ref.Bytes {
		return bad("%d bytes, the head says %d", resp.ContentLength, ref.Bytes)
	}
	return nil
}

// download writes a segment to w and verifies it on the way. A failure of w is a *writeError.
func download(ctx context.Context, from Origin, ref SegmentRef, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTime(ref.Bytes))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	watch := least.Watch(func() { giveUp(errSlow) })
	defer watch.Stop()
	watch.Wait()
	body, err := from.Open(ctx, ref)
	watch.Turn()
	if err == nil {
		defer body.Close()
		out := &sink{w: w}
		err = Verify(io.TeeReader(io.LimitReader(&watched{body, watch}, ref.Bytes+1), out), ref)
		if out.err != nil {
			return &writeError{out.err}
		}
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errSlow) {
		return cause
	}
	return err
}

// watched reads under a clock.
type watched struct {
	io.Reader
	watch *pace.Watch
}

func (w *watched) Read(b []byte) (int, error) { return w.watch.Read(w.Reader, b) }

// downloadTime returns how long a segment of n bytes may take: a minute, plus a second for each further MB.
func downloadTime(n int64) time.Duration {
	return time.Minute + time.Duration(n>>20)*time.Second
}

// least is the minimum pace of a download, 64 KiB a second. All stores share a few downloads, and a slow store must
// not block the others.
var (
	least   = pace.Minimum{Bytes: 30 * 64 << 10, Within: 30 * time.Second}
	errSlow = least.Err()
)

// sink remembers a failed write, so that the failure is not attributed to the sender.
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

// writeError is a fault of our own disk.
type writeError struct{ err error }

func (e *writeError) Error() string { return fmt.Sprintf("keep segment: %v", e.err) }
func (e *writeError) Unwrap() error { return e.err }

// downloadClient returns c with bounded redirects that never leave https.
func downloadClient(c *http.Client) *http.Client {
	client := http.Client{}
	if c != nil {
		client = *c
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = outbound.Explaining(client.Transport)
	client.Timeout = 0 // the context limits the time
	client.CheckRedirect = fetch.CheckRedirect
	return &client
}
