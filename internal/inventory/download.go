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
)

// maxRedirects is how many redirects a segment may take: none is usual.
const maxRedirects = 5

// download writes the segment at address to w and verifies it on the way. It is not a [fetch.Fetcher], which has its
// document in memory: a segment may be larger than what a proxy may use.
func download(ctx context.Context, client *http.Client, address string, ref SegmentRef, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTime(ref.Bytes))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "oci-proxy")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
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
	out := &sink{w: w}
	if err := verify(io.TeeReader(io.LimitReader(resp.Body, ref.Bytes+1), out), ref); err != nil {
		if out.err != nil {
			return &writeError{out.err}
		}
		return err
	}
	return nil
}

// downloadTime is how long a segment of n bytes may take: a minute, and a second for each further MB.
func downloadTime(n int64) time.Duration {
	return time.Minute + time.Duration(n>>20)*time.Second
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
