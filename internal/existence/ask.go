package existence

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// These say why an answer is not simply a yes. errRedirects is a yes on condition. errAbsent is a no, also when
// another object has the name. errUseless is neither, however often the proxy asks. Any other error may be over in a
// moment.
var (
	errRedirects = errors.New("redirects")
	errAbsent    = errors.New("absent")
	errUseless   = errors.New("no usable answer")
)

// ask makes the HEAD request and interprets the answer. redirects: the answer was a redirect.
func (c *Checker) ask(o *origin, t *Target) (a Answer, redirects bool, result string) {
	a, err := c.head(o, t, t.URL)
	switch {
	case err == nil:
		return a, false, ResultHeld
	case errors.Is(err, errRedirects):
		return Answer{Held: true, Size: -1}, true, ResultHeld
	case errors.Is(err, errAbsent):
		return Answer{Size: -1}, false, ResultAbsent
	default:
		return Answer{Failed: true, Size: -1}, false, ResultFailed
	}
}

// Accept names every manifest type, so that a registry answers for what clients will ask for.
const Accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, " +
	"application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.oci.artifact.manifest.v1+json, */*"

// head sends to url the request for t, and notes how long the answer took.
func (c *Checker) head(o *origin, t *Target, url string) (Answer, error) {
	// The context is detached from the client's request on purpose: the answer is useful even after the client gave
	// up.
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.Timeout)
	defer cancel()
	var setup time.Duration // time to make a new connection
	began := time.Now()
	sought := began
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { sought = time.Now() },
		GotConn: func(i httptrace.GotConnInfo) {
			began = time.Now()
			if setup = 0; !i.Reused {
				setup = began.Sub(sought)
			}
		},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Accept", Accept)
	req.Header.Set("User-Agent", "oci-proxy")
	resp, err := c.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	resp.Body.Close()
	took := time.Since(began)
	a, err := judge(t, resp)
	if err == nil || errors.Is(err, errAbsent) || errors.Is(err, errRedirects) {
		c.mu.Lock()
		o.pace.answered(!errors.Is(err, errAbsent), setup, took, time.Now())
		c.mu.Unlock()
	}
	return a, err
}

// judge interprets an answer. 404 and 403 mean absent: S3 answers 403 when the caller may not list.
func judge(t *Target, resp *http.Response) (Answer, error) {
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		return judgeHeld(t, resp)
	case status == http.StatusNotFound || status == http.StatusForbidden:
		return Answer{}, errAbsent
	case status/100 == 3 && status != http.StatusNotModified && t.RedirectIsHeld:
		return Answer{}, errRedirects
	case status/100 == 3:
		return Answer{}, fmt.Errorf("%w: redirects", errUseless)
	case status == http.StatusUnauthorized, status == http.StatusRequestTimeout,
		status == http.StatusTooManyRequests, status/100 != 4:
		return Answer{}, fmt.Errorf("status %d", status) // 5xx, and answers that mean "not you" or "not now"
	default:
		return Answer{}, fmt.Errorf("%w: status %d", errUseless, status)
	}
}

// judgeHeld refuses a 200 whose headers say that it is another object.
func judgeHeld(t *Target, resp *http.Response) (Answer, error) {
	a := Answer{Held: true, Size: resp.ContentLength}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "text/html" {
		return Answer{}, fmt.Errorf("%w: an HTML page", errUseless) // a login or maintenance page
	}
	named := resp.Header.Get("Docker-Content-Digest")
	switch t.Key.Kind {
	case oci.KindBlob:
		// There is an object, but a client that is sent there gets bytes that do not match the digest.
		if coding := outbound.Encoding(resp.Header); coding != "" {
			return Answer{}, fmt.Errorf("%w: encoded as %.40q", errAbsent, coding)
		}
		if a.Size >= 0 && t.Size > 0 && a.Size != t.Size {
			return Answer{}, fmt.Errorf("%w: %d bytes, should have %d", errAbsent, a.Size, t.Size)
		}
		if a.Size == 0 && !empty[t.Key.Ref] {
			return Answer{}, fmt.Errorf("%w: no bytes", errUseless)
		}
	case oci.KindManifest:
		if other(named, t.Key.Ref) {
			return Answer{}, fmt.Errorf("%w: another manifest", errUseless)
		}
	case oci.KindTag:
		if named != "" {
			a.Content = ContentOf(named)
		}
	default:
	}
	if a.Size > oci.MaxBlob {
		a.Size = -1 // unknown: no blob is that large
	}
	return a, nil
}

var contentSeed = maphash.MakeSeed()

// ContentOf returns the [Answer.Content] of a tag that points to a digest. It is never 0.
func ContentOf(digest string) uint64 { return maphash.String(contentSeed, digest) | 1 }

// empty has the digests of empty content.
var empty = map[string]bool{
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855":                                                                 true,
	"sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e": true,
}

// other reports whether named is a digest that cannot be want's. A registry may report the digest in another
// algorithm.
func other(named, want string) bool {
	algorithm, _, ok := strings.Cut(want, ":")
	return ok && named != want && strings.HasPrefix(named, algorithm+":")
}
