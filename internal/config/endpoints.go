package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/endpoints"
)

// maxWildcards and maxRedirectsTo bound the published list. Registries have fewer: Google's sends clients to one host.
const maxWildcards, maxRedirectsTo = 64, 16

// maxNotice is a year. A longer notice is a typing error.
const maxNotice = 366 * 24 * time.Hour

func (v *validator) endpoints() {
	e := v.c.Endpoints
	if e.Notice > maxNotice {
		v.fail("endpoints.notice", "336h is 14 days", "notice must be at most %s", formatDuration(maxNotice))
	}
	v.hostPatterns("endpoints.wildcards", e.Wildcards, maxWildcards, false)
	for i, p := range e.Wildcards {
		if !strings.HasPrefix(p, "*.") {
			v.fail(fmt.Sprintf("endpoints.wildcards[%d]", i), "write *."+shorten(p)+", or leave it out: the list has each single host anyway",
				"%q has no star", shorten(p))
		}
	}
}

// hostPatterns checks a list of host names, of which each may have a star as its first label.
func (v *validator) hostPatterns(at string, patterns []string, most int, ports bool) {
	if len(patterns) > most {
		v.fail(at, "one wildcard covers many hosts: *.blobs.example.org", "%d hosts are more than %d", len(patterns), most)
	}
	for i, p := range patterns {
		here := fmt.Sprintf("%s[%d]", at, i)
		host, _, err := HostPort(p)
		bare := strings.TrimPrefix(host, "*.")
		switch {
		case err != nil || !ports && host != p:
			v.fail(here, hostHint(p), "not a host name: %q", shorten(p))
		case bare != host && !strings.Contains(bare, "."):
			v.fail(here, "name the domain: *.blobs.example.org", "the wildcard %q covers a whole top-level domain", shorten(p))
		case !v.host(here, bare): // the fault is reported
		case slices.Contains(patterns[:i], p):
			v.fail(here, "remove one", "%s is listed twice", p)
		}
	}
}

// HostPort splits an element of `redirectsTo`. The port is 443 unless the text has another one.
func HostPort(text string) (host string, port uint16, err error) {
	if !strings.Contains(text, ":") {
		return text, httpsPort, nil
	}
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not between 1 and 65535", digits)
	}
	return host, uint16(n), nil
}

const httpsPort = 443

func (v *validator) announce(at string, a Announce, canonical bool) {
	switch {
	case a == Announce{}:
	case canonical:
		v.fail(at, "remove it: make another upstream canonical first", "the canonical upstream cannot come or go on a date: it is the last resort of every request")
	case !a.From.IsZero() && !a.Until.IsZero() && !a.Until.After(a.From):
		v.fail(at+".until", "", "until must be later than from")
	}
}

// At is c as it works at a time: an active candidate whose announced traffic has not begun counts as filling, one whose
// announced traffic has ended as draining. Its announcements keep only the dates that hold traffic back at that time,
// for [Announce.Note]. It shares everything else with c, so do not change either.
func (c *Config) At(now time.Time) *Config {
	out := *c
	out.Stores, out.Upstreams = slices.Clone(c.Stores), slices.Clone(c.Upstreams)
	for i := range out.Stores {
		s := &out.Stores[i]
		s.State = c.stateAt(s.State, s.Announce, s.URL, s.RedirectsTo, now)
		s.Announce = s.Announce.holding(now)
	}
	for i := range out.Upstreams {
		u := &out.Upstreams[i]
		u.State = c.stateAt(u.State, u.Announce, u.URL, u.RedirectsTo, now)
		u.Announce = u.Announce.holding(now)
	}
	return &out
}

func (c *Config) stateAt(state State, a Announce, target string, redirectsTo []string, now time.Time) State {
	switch {
	case state != Active:
		return state
	case !a.Until.IsZero() && !now.Before(a.Until):
		return Draining
	case now.Before(a.From) && !c.covered(target, redirectsTo):
		return Filling
	}
	return state
}

// holding returns the dates of a that hold traffic back.
func (a Announce) holding(now time.Time) (out Announce) {
	if now.Before(a.From) {
		out.From = a.From
	}
	if !now.Before(a.Until) {
		out.Until = a.Until
	}
	return out
}

// covered reports whether published wildcards cover every host that a candidate at target sends clients to.
func (c *Config) covered(target string, redirectsTo []string) bool {
	u, err := url.Parse(strings.ReplaceAll(target, digestMark, "x"))
	if err != nil || u.Port() != "" && u.Port() != strconv.Itoa(httpsPort) {
		return false
	}
	allowed := func(host string) bool {
		return slices.ContainsFunc(c.Endpoints.Wildcards, func(p string) bool { return endpoints.Covers(p, host) })
	}
	return allowed(u.Hostname()) && !slices.ContainsFunc(redirectsTo, func(to string) bool {
		host, port, err := HostPort(to)
		return err != nil || port != httpsPort || !allowed(host)
	})
}

// NextDate is the first announced date after now; the zero time when there is none.
func (c *Config) NextDate(now time.Time) (next time.Time) {
	look := func(a Announce) {
		for _, t := range []time.Time{a.From, a.Until} {
			if t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	for i := range c.Stores {
		look(c.Stores[i].Announce)
	}
	for i := range c.Upstreams {
		look(c.Upstreams[i].Announce)
	}
	return next
}

// Note says why a candidate of [Config.At], which is in this state, gets no traffic, in the words of explanations and
// reports; "" when its dates are not the reason.
func (a Announce) Note(state State) string {
	switch {
	case state == Filling && !a.From.IsZero():
		return "announced for " + formatDate(a.From) + ": no traffic before"
	case state == Draining && !a.Until.IsZero():
		return "announced until " + formatDate(a.Until) + ": no new traffic since"
	}
	return ""
}
