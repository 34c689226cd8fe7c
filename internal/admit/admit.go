// Package admit guards a port that has no login. It lets through the requests of operators, their probes and their
// Prometheus, and refuses the requests that a web page makes a browser send. A page whose name resolves to the port
// (DNS rebinding) could read everything on it, and any page could start expensive work.
//
// The package also lists the pages of such a port on its /. It knows requests and names. It must not know the
// answers.
package admit

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Port is a port without a login.
type Port struct {
	// Hosts returns the names that a request may use for this port, in lower case and without port number. IP
	// addresses and localhost are always allowed. It is called for each request, from several goroutines.
	Hosts func() []string
	// Setting is what operators change to allow a name: "admin.hosts of the config".
	Setting string
	// Costly reports whether a request starts expensive work, beyond its answer. Nil: no request does.
	Costly func(*http.Request) bool
	// Refused is called for each refused request, with the reason, from several goroutines; nil: not called.
	Refused func(r *http.Request, why string)
}

// Handler passes allowed requests to next. It answers other requests with 421 or 403, and says what to do.
func (p Port) Handler(next http.Handler) http.Handler {
	refuse := func(rw http.ResponseWriter, r *http.Request, status int, why string) {
		if p.Refused != nil {
			p.Refused(r, why)
		}
		http.Error(rw, why, status)
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case !ownHost(r.Host, p.Hosts()):
			refuse(rw, r, http.StatusMisdirectedRequest,
				"this name is not one of this port's: list it in "+p.Setting+", or ask by IP address or localhost")
		case !sameOrigin(r):
			refuse(rw, r, http.StatusForbidden,
				"a web page of another origin asks: open the address itself instead of following a link, or use curl")
		case p.Costly != nil && p.Costly(r) && maybePage(r):
			refuse(rw, r, http.StatusForbidden,
				"a browser asks that does not say for which page: use curl or `go tool pprof`, or a browser on localhost")
		default:
			next.ServeHTTP(rw, r)
		}
	})
}

// ownHost reports whether a Host is an IP address, localhost or listed. It accepts an empty Host, as in HTTP/1.0
// probes: no browser sends that.
func ownHost(host string, listed []string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == "localhost" || slices.Contains(listed, host) {
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil
}

// sameOrigin reports whether the request has no sign of a web page of another origin. Browsers send Sec-Fetch-Site in
// every request to localhost and over HTTPS, and Origin in all other requests except plain GETs.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	if len(r.Header["Origin"]) == 0 {
		return true
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return err == nil && len(r.Header["Origin"]) == 1 && origin.Scheme == scheme && origin.Host != "" && strings.EqualFold(origin.Host, r.Host)
}

// maybePage reports whether a browser sent the request without saying for which page. Over plain HTTP, to any host
// except localhost, a browser's GET for another page looks the same as one for an address that a person typed.
func maybePage(r *http.Request) bool {
	return strings.HasPrefix(r.UserAgent(), "Mozilla/") && r.Header.Get("Sec-Fetch-Site") == ""
}
