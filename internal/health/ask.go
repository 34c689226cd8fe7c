package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"time"

	"ociproxy/internal/outbound"
)

// maxRedirects is how many redirects of a registry to its storage the probe follows.
const maxRedirects = 3

// probeClient returns c with connections of its own that are never reused: a probe must meet what a new client meets.
func probeClient(c *http.Client) *http.Client {
	var rt http.RoundTripper = outbound.New(outbound.Options{Dial: 3 * time.Second, HeaderBytes: 64 << 10, Decompress: true})
	if c != nil && c.Transport != nil {
		rt = c.Transport
	}
	if t, ok := rt.(*http.Transport); ok {
		t = t.Clone()
		t.DisableKeepAlives = true
		rt = t
	}
	return &http.Client{
		Transport:     outbound.Explaining(rt), // a proxy's answer must not count as the store's
		CheckRedirect: outbound.NoRedirect,
	}
}

// late is the cause of a request that hit one of our time-outs.
type late struct {
	what  string
	after time.Duration
}

func (e *late) Error() string { return fmt.Sprintf("no %s within %s", e.what, e.after) }

// ask makes the request of q, follows redirects where t may redirect, and checks the answer. The error never holds a
// URL: a redirect's may be signed.
func (m *Monitor) ask(ctx context.Context, t *Target, q *query) error {
	ctx, cancel := context.WithTimeoutCause(ctx, m.opt.Timeout, &late{"complete answer", m.opt.Timeout})
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	header := time.AfterFunc(m.opt.FirstByte, func() { abort(&late{"answer", m.opt.FirstByte}) })
	defer header.Stop()
	target := q.object.URL
	for hops := 0; ; hops++ {
		resp, err := m.send(ctx, t, q, target)
		if err != nil {
			return plain(ctx, err)
		}
		to, err := redirect(t, resp, hops)
		if err != nil || to == nil {
			header.Stop()
			if err == nil {
				err = q.check(t, resp)
			}
			resp.Body.Close()
			return plain(ctx, err)
		}
		resp.Body.Close()
		target = to.String()
	}
}

// send makes one request. It carries nothing of any client.
func (m *Monitor) send(ctx context.Context, t *Target, q *query, target string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	req.Header.Set("User-Agent", "oci-proxy")
	req.Header.Set("Accept", cmp.Or(t.Accept, "*/*"))
	req.Header.Set("Accept-Encoding", "identity") // compare the bytes as stored
	switch q.kind {
	case byteRange:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", q.start, q.end()))
	case openRange:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", q.start))
	case wholeObject, ping:
	}
	return m.client.Do(req)
}

// redirect returns where resp leads to; nil: it is not a redirect.
func redirect(t *Target, resp *http.Response, hops int) (*url.URL, error) {
	if resp.StatusCode/100 != 3 {
		return nil, nil
	}
	to, err := resp.Location()
	switch {
	case err != nil:
		return nil, fmt.Errorf("status %d without a location", resp.StatusCode)
	case !t.FollowRedirects:
		return nil, fmt.Errorf("status %d redirects to %s: a store answers itself", resp.StatusCode, to.Host)
	case hops >= maxRedirects:
		return nil, fmt.Errorf("more than %d redirects", maxRedirects)
	case to.Scheme != "https" && (to.Scheme != "http" || resp.Request.URL.Scheme == "https"):
		return nil, fmt.Errorf("redirects from %s to %s", resp.Request.URL.Scheme, to.Scheme)
	}
	return to, nil
}

// plain removes the URL from an error of net/http, and describes time-outs in words.
func plain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var l *late
	if errors.As(context.Cause(ctx), &l) {
		return l
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("timed out: %w", err)
	}
	return err
}

func isHTML(h http.Header) bool {
	t, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return t == "text/html"
}
