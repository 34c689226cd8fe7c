package judge

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

// Answer is the outcome of one request.
type Answer struct {
	Err       error
	Status    int
	Header    http.Header
	Length    int64  // Content-Length; -1 when it is not given
	Body      []byte // up to the cap
	Truncated bool   // the body was longer than the cap
	Hops      []Hop  // redirects followed
	Location  *url.URL
	Took      time.Duration
	Expires   time.Time // of the certificate; zero without TLS
	Proto     int       // the major version of HTTP
}

// Hop is a redirect.
type Hop struct{ To *url.URL }

// Asker makes requests one at a time, with a time-out, a body cap and no credentials.
type Asker struct {
	Client    *http.Client
	Timeout   time.Duration
	UserAgent string
	late      int // requests without an answer in time
}

// maxLate is how many time-outs a target gets. A dead target must not delay the report.
const maxLate = 3

var errGivenUp = fmt.Errorf("not asked: %d requests before got no answer in time", maxLate)

// Query is one request.
type Query struct {
	Method    string
	URL       string
	Header    map[string]string
	Max       int64 // bytes of the body that are kept
	Redirects int   // how many redirects are followed; 0: the redirect itself is the answer
}

// Ask makes one request, and follows its redirects. After maxLate requests without an answer in time, it makes no more.
func (a *Asker) Ask(ctx context.Context, q Query) Answer {
	if a.late >= maxLate {
		return Answer{Err: errGivenUp, Length: -1}
	}
	ans := a.do(ctx, q)
	if _, late := errors.AsType[*slow](ans.Err); late {
		a.late++
	}
	return ans
}

func (a *Asker) do(ctx context.Context, q Query) Answer {
	ctx, cancel := context.WithTimeoutCause(ctx, a.Timeout, &slow{a.Timeout})
	defer cancel()
	start := time.Now()
	ans := Answer{Length: -1}
	target := q.URL
	for {
		req, err := http.NewRequestWithContext(ctx, q.Method, target, nil)
		if err != nil {
			ans.Err = errors.New("bad URL")
			return ans
		}
		req.Header.Set("User-Agent", a.UserAgent)
		for k, v := range q.Header {
			req.Header.Set(k, v)
		}
		resp, err := a.Client.Do(req)
		if err != nil {
			ans.Err = plain(ctx, err)
			return ans
		}
		ans.read(ctx, resp, q.Max)
		ans.Took = time.Since(start)
		if ans.Err != nil || ans.Location == nil || len(ans.Hops) >= q.Redirects {
			return ans
		}
		if req.URL.Scheme == "https" && ans.Location.Scheme != "https" {
			ans.Err = fmt.Errorf("redirects from https to %s", shown(ans.Location))
			return ans
		}
		ans.Hops = append(ans.Hops, Hop{ans.Location})
		target = ans.Location.String()
	}
}

func (ans *Answer) read(ctx context.Context, resp *http.Response, limit int64) {
	defer resp.Body.Close()
	ans.Status, ans.Header, ans.Length = resp.StatusCode, resp.Header, resp.ContentLength
	ans.Location, ans.Truncated, ans.Proto = nil, false, resp.ProtoMajor
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		ans.Expires = resp.TLS.PeerCertificates[0].NotAfter
	}
	if resp.StatusCode/100 == 3 && resp.StatusCode != http.StatusNotModified {
		if to, err := resp.Location(); err == nil {
			ans.Location = to
		}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(body)) > limit {
		body, ans.Truncated = body[:limit], true
	}
	ans.Body = body
	if err != nil {
		ans.Err = fmt.Errorf("body breaks off after %d bytes: %w", len(body), plain(ctx, err))
	}
}

// IsHTML reports whether the answer is a web page, whatever its status.
func (ans *Answer) IsHTML() bool {
	if strings.HasPrefix(strings.ToLower(ans.Header.Get("Content-Type")), "text/html") {
		return true
	}
	head := strings.ToLower(strings.TrimSpace(string(ans.Body[:min(len(ans.Body), 64)])))
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html")
}

// slow is the cause of a request that exceeded our time-out.
type slow struct{ after time.Duration }

func (e *slow) Error() string { return fmt.Sprintf("no answer within %s", e.after) }

// Unwrap lets callers recognise a time-out as they do elsewhere.
func (e *slow) Unwrap() error { return context.DeadlineExceeded }

// plain removes the URL, which may contain a signature, from an error of net/http, and describes a time-out in words.
func plain(ctx context.Context, err error) error {
	var s *slow
	if errors.As(context.Cause(ctx), &s) {
		return s
	}
	err = Bare(err)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("timed out: %w", err)
	}
	return err
}

// Bare returns an error of net/http without the URL that was asked and without the one that an answer redirects to: both
// may have a signature in them.
func Bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if err != nil && strings.HasPrefix(err.Error(), "failed to parse Location header") {
		return errors.New("the answer redirects to what is no URL")
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

// TLSHint returns advice on a TLS error, or "" when err is not one.
func TLSHint(err error) string {
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
