package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxRedirects is how many redirects of a registry the client follows in a row.
const maxRedirects = 5

// call is one request to the registry.
type call struct {
	method string
	url    *url.URL
	header http.Header
	scopes []string
	body   []byte                        // may be sent again as often as needed
	stream func() (io.ReadCloser, error) // a large body of size bytes; sent once
	size   int64
}

// do makes a request, with authentication, and follows redirects. It returns the answer if its status is one of want;
// otherwise the error is a [*StatusError]. The caller closes the body.
func (r *Registry) do(ctx context.Context, c call, want ...int) (*http.Response, error) {
	for again := false; ; again = true {
		rt, err := r.access(ctx, c.scopes)
		if err != nil {
			return nil, err
		}
		resp, home, err := r.send(ctx, rt, c)
		if err != nil {
			return nil, fromTransport(err)
		}
		if slices.Contains(want, resp.StatusCode) {
			return resp, nil
		}
		if resp.StatusCode == http.StatusUnauthorized {
			// The token may have been revoked, the credentials may have changed, or a signed URL may have expired. Only
			// the registry itself may ask for the credentials, not the storage to which it redirects.
			if home {
				r.learn(ctx, resp)
				r.forget(c.scopes)
			}
			if !again && c.stream == nil {
				discard(resp)
				continue
			}
		}
		refusal := statusError(resp)
		refusal.Home = home
		resp.Body.Close()
		return nil, refusal
	}
}

// send makes a request and follows redirects itself. The permission is for the registry alone, not for the next hop,
// even if that is another port or subdomain of it. home reports whether the registry itself answered.
func (r *Registry) send(ctx context.Context, rt http.RoundTripper, c call) (_ *http.Response, home bool, err error) {
	u := c.url
	for range maxRedirects + 1 {
		req, err := r.request(ctx, c, u)
		if err != nil {
			return nil, false, err
		}
		hop, home := rt, u.Scheme == r.scheme && strings.EqualFold(u.Host, r.host)
		if !home {
			hop = r.foreign
		}
		resp, err := hop.RoundTrip(req)
		if err != nil {
			return nil, false, err
		}
		location := resp.Header.Get("Location")
		if !redirects(resp.StatusCode) || location == "" || c.method != http.MethodGet && c.method != http.MethodHead {
			return resp, home, nil
		}
		discard(resp)
		next, err := u.Parse(location)
		switch {
		case err != nil || next.Host == "" || next.Scheme != "https" && next.Scheme != "http":
			return nil, false, fmt.Errorf("%w: to %q", ErrRedirect, clean(location))
		case next.Scheme == "http" && !r.insecure:
			return nil, false, fmt.Errorf("%w: to plain HTTP on %s", ErrRedirect, clean(next.Host))
		}
		next.User, next.Fragment = nil, ""
		u = next
	}
	return nil, false, fmt.Errorf("%w: more than %d in a row", ErrRedirect, maxRedirects)
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func (r *Registry) request(ctx context.Context, c call, u *url.URL) (*http.Request, error) {
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if c.stream != nil {
		if req.Body, err = c.stream(); err != nil {
			return nil, err
		}
		req.ContentLength = c.size
	}
	for key, values := range c.header {
		req.Header[key] = values
	}
	// No transport may unpack the bytes.
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// whole reads a body of at most limit bytes and closes it. It must arrive within four time-outs: a trickle of bytes
// does not count as progress.
func (r *Registry) whole(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, fmt.Errorf("%w: content-encoding %q", ErrBadAnswer, clean(e))
	}
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, resp.ContentLength, limit)
	}
	if b, ok := resp.Body.(*body); ok {
		late := time.AfterFunc(4*r.timeout, b.expire)
		defer late.Stop()
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}
