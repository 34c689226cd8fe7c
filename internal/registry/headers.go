package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxPause caps what a host may ask for by Retry-After.
const maxPause = 5 * time.Minute

// retryAfter reads a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3), capped by [maxPause]. ok is false
// when there is none that can be read.
func retryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxPause/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(text); err == nil {
		return min(max(t.Sub(now), 0), maxPause), true
	}
	return 0, false
}

// nextLink returns the target of the first link with rel="next" in Link headers (RFC 8288), "" when there is none.
func nextLink(h http.Header) (string, error) {
	for _, line := range h.Values("Link") {
		for rest := line; ; {
			rest = strings.TrimLeft(rest, " \t,")
			if rest == "" {
				break
			}
			if rest[0] != '<' {
				return "", errors.New("link header without a target")
			}
			target, params, ok := strings.Cut(rest[1:], ">")
			if !ok {
				return "", errors.New("link header with half a target")
			}
			params, rest = splitParams(params)
			if relNext(params) {
				return target, nil
			}
		}
	}
	return "", nil
}

// splitParams cuts the parameters of one link from the links after it: at the first comma outside quotes.
func splitParams(s string) (params, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// relNext says whether parameters have rel=next. Some registries write no rel at all; they mean next.
func relNext(params string) bool {
	any := false
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		any = true
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return !any
}

// contentRange reads "bytes first-last/total" (RFC 9110, 14.4). An unsatisfied range, "bytes */total", has first and
// last -1. An unknown total is an error: nobody could tell whether the answer is whole.
func contentRange(text string) (first, last, total int64, err error) {
	bad := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("content-range %q cannot be used", clean(text))
	}
	span, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	if !ok || !strings.HasPrefix(text, "bytes ") {
		return bad()
	}
	if total, ok = decimal(size); !ok {
		return bad()
	}
	if span == "*" {
		return -1, -1, total, nil
	}
	a, b, ok := strings.Cut(span, "-")
	if !ok {
		return bad()
	}
	if first, ok = decimal(a); !ok {
		return bad()
	}
	if last, ok = decimal(b); !ok || first > last || last >= total {
		return bad()
	}
	return first, last, total, nil
}

// decimal reads digits and nothing else.
func decimal(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// follow resolves a reference that an answer to a request for base gave, for pages and uploads: it must stay on base's host.
// The scheme stays base's: behind a proxy that ends TLS, registries write http.
func follow(base *url.URL, ref string) (*url.URL, error) {
	u, err := base.Parse(ref)
	if err != nil {
		return nil, fmt.Errorf("location %q cannot be read", clean(ref))
	}
	if !strings.EqualFold(plainHost(u), plainHost(base)) {
		return nil, fmt.Errorf("location %q is on another host than %s", clean(u.Redacted()), base.Host)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, fmt.Errorf("location %q cannot be followed", clean(u.Redacted()))
	}
	u.Scheme, u.Host, u.Fragment = base.Scheme, base.Host, ""
	return u, nil
}

// plainHost returns host and port, without the port that the scheme has anyway.
func plainHost(u *url.URL) string {
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(u.Host, ":443")
	case "http":
		return strings.TrimSuffix(u.Host, ":80")
	}
	return u.Host
}
