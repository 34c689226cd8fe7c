package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// answer is the outcome of one request.
type answer struct {
	err       error
	status    int
	header    http.Header
	length    int64  // Content-Length; -1 when it is not given
	body      []byte // up to the cap
	truncated bool   // the body was longer than the cap
	hops      []hop  // redirects followed
	location  *url.URL
	took      time.Duration
	expires   time.Time // of the certificate; zero without TLS
}

// hop is a redirect.
type hop struct{ to *url.URL }

// asker makes requests one at a time, with a time-out, a body cap and no credentials.
type asker struct {
	client    *http.Client
	timeout   time.Duration
	userAgent string
	late      int // requests without an answer in time
}

// maxLate is how many time-outs a target gets. A dead target must not delay the report.
const maxLate = 3

var errGivenUp = fmt.Errorf("not asked: %d requests before got no answer in time", maxLate)

// query is one request. redirects is how many redirects are followed; 0 means that the redirect is reported.
type query struct {
	method    string
	url       string
	header    map[string]string
	max       int64
	redirects int
}

func (a *asker) ask(ctx context.Context, q query) answer {
	if a.late >= maxLate {
		return answer{err: errGivenUp, length: -1}
	}
	ans := a.do(ctx, q)
	if _, late := errors.AsType[*slow](ans.err); late {
		a.late++
	}
	return ans
}

func (a *asker) do(ctx context.Context, q query) answer {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, &slow{a.timeout})
	defer cancel()
	start := time.Now()
	ans := answer{length: -1}
	target := q.url
	for {
		req, err := http.NewRequestWithContext(ctx, q.method, target, nil)
		if err != nil {
			ans.err = errors.New("bad URL")
			return ans
		}
		req.Header.Set("User-Agent", a.userAgent)
		for k, v := range q.header {
			req.Header.Set(k, v)
		}
		resp, err := a.client.Do(req)
		if err != nil {
			ans.err = plain(ctx, err)
			return ans
		}
		ans.read(ctx, resp, q.max)
		ans.took = time.Since(start)
		if ans.err != nil || ans.location == nil || len(ans.hops) >= q.redirects {
			return ans
		}
		if req.URL.Scheme == "https" && ans.location.Scheme != "https" {
			ans.err = fmt.Errorf("redirects from https to %s", shown(ans.location))
			return ans
		}
		ans.hops = append(ans.hops, hop{ans.location})
		target = ans.location.String()
	}
}

func (ans *answer) read(ctx context.Context, resp *http.Response, limit int64) {
	defer resp.Body.Close()
	ans.status, ans.header, ans.length = resp.StatusCode, resp.Header, resp.ContentLength
	ans.location, ans.truncated = nil, false
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		ans.expires = resp.TLS.PeerCertificates[0].NotAfter
	}
	if resp.StatusCode/100 == 3 && resp.StatusCode != http.StatusNotModified {
		if to, err := resp.Location(); err == nil {
			ans.location = to
		}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(body)) > limit {
		body, ans.truncated = body[:limit], true
	}
	ans.body = body
	if err != nil {
		ans.err = fmt.Errorf("body breaks off after %d bytes: %w", len(body), plain(ctx, err))
	}
}

// isHTML reports whether the answer is a web page, whatever its status.
func (ans *answer) isHTML() bool {
	if strings.HasPrefix(strings.ToLower(ans.header.Get("Content-Type")), "text/html") {
		return true
	}
	head := strings.ToLower(strings.TrimSpace(string(ans.body[:min(len(ans.body), 64)])))
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html")
}

// slow is the cause of a request that exceeded our time-out.
type slow struct{ after time.Duration }

func (e *slow) Error() string { return fmt.Sprintf("no answer within %s", e.after) }

// plain removes the URL, which may contain a signature, from an error of net/http, and describes a time-out in words.
func plain(ctx context.Context, err error) error {
	var s *slow
	if errors.As(context.Cause(ctx), &s) {
		return s
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("timed out: %w", err)
	}
	return err
}

// shown returns a URL in the form that a report may print: without user and query, because signatures are in the query.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// looksLikeLogin guesses from the target of a redirect whether it asks people to sign in.
func looksLikeLogin(u *url.URL) bool {
	s := strings.ToLower(u.Host + u.Path)
	for _, word := range []string{"login", "signin", "sign-in", "sso", "oauth", "/auth", "accounts.", "/saml"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

// tlsHint returns advice on a TLS error, or "" when err is not one.
func tlsHint(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &hostname):
		return "the certificate is for another name: check the host in the URL (a bucket name with dots does not fit a wildcard certificate)"
	case errors.As(err, &unknown):
		return "clients must trust the certificate: use one of a public authority"
	case errors.As(err, &invalid):
		return "renew the certificate"
	case errors.As(err, &record):
		return "the port does not speak TLS: check scheme and port of the URL"
	}
	return ""
}
