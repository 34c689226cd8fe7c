package registry

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// contentRange reads "bytes first-last/total" (RFC 9110, 14.4). For an unsatisfied range, "bytes */total", first and
// last are -1. An unknown total is an error, because then the caller cannot check that the answer is complete.
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

// decimal reads a number that consists of digits only.
func decimal(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// follow resolves a reference from the answer to a request for base, for pages and uploads. The reference must stay on
// base's host. The scheme stays that of base, because registries behind a proxy that terminates TLS write http.
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

// plainHost returns host and port, and omits the default port of the scheme.
func plainHost(u *url.URL) string {
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(u.Host, ":443")
	case "http":
		return strings.TrimSuffix(u.Host, ":80")
	}
	return u.Host
}
