package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// admit lets through what operators, their probes and their Prometheus ask of the admin port, and refuses what a web
// page makes a browser ask. The port has no login: a page whose name resolves to it (DNS rebinding) could read all, and
// any page could start profiles.
func (s *Server) admit(next http.Handler) http.Handler {
	said := rate.Sometimes{Interval: time.Minute}
	refuse := func(rw http.ResponseWriter, r *http.Request, status int, text string) {
		said.Do(func() {
			s.log.Warn("admin port refuses a request", "host", r.Host, "origin", r.Header.Get("Origin"), "path", r.URL.Path, "error", text)
		})
		http.Error(rw, text, status)
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case !ownHost(r.Host, s.world.Load().cfg.Admin.Hosts):
			refuse(rw, r, http.StatusMisdirectedRequest,
				"this name is not one of the admin port's: list it in admin.hosts of the config, or ask by IP address or localhost")
		case !sameOrigin(r):
			refuse(rw, r, http.StatusForbidden,
				"a web page of another origin asks: open the address itself instead of following a link, or use curl")
		case strings.HasPrefix(r.URL.Path, "/debug/") && maybePage(r):
			refuse(rw, r, http.StatusForbidden,
				"a browser asks that does not say for which page: use `go tool pprof` or curl, or a browser on localhost")
		default:
			next.ServeHTTP(rw, r)
		}
	})
}

// ownHost reports whether a Host is an IP address, localhost or listed. None at all is no browser's: HTTP/1.0 probes.
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

// sameOrigin reports whether no browser says that a page of another origin asks. Sec-Fetch-Site is of every request to
// localhost and over HTTPS, Origin of all others but plain GETs.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	if len(r.Header["Origin"]) == 0 {
		return true
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && len(r.Header["Origin"]) == 1 && origin.Host != "" && strings.EqualFold(origin.Host, r.Host)
}

// maybePage reports whether a browser asks that does not say for which page: over plain HTTP, to anything but
// localhost, browsers do not tell another page's GET from one that a person typed.
func maybePage(r *http.Request) bool {
	return strings.HasPrefix(r.UserAgent(), "Mozilla/") && r.Header.Get("Sec-Fetch-Site") == ""
}
