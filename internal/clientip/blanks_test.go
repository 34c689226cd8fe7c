package clientip_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/clientip"
)

// Blanks around an entry do not belong to it, however many there are (RFC 9110, 5.6.1 and 5.6.3). Blanks inside an
// entry do.
func TestBlanksDoNotCount(t *testing.T) {
	blanks := strings.Repeat(" \t", 150)
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	walk := extractor(t, clientip.Rule{Header: "X-Forwarded-For", Trusted: trusted})
	second := extractor(t, clientip.Rule{Header: "X-Forwarded-For", Entry: 2, Trusted: trusted})
	const client, peer = "203.0.113.7", "10.1.1.1"
	for what, test := range map[string]struct {
		lines        []string
		walk, second string
		fault        clientip.Source // of second, when its result is the peer
	}{
		"an empty entry":      {[]string{client + "," + blanks + ",10.1.0.5"}, client, client, 0},
		"an empty last entry": {[]string{client + ",10.1.0.5," + blanks}, client, client, 0},
		"an empty first":      {[]string{blanks + ",10.1.0.5"}, "10.1.0.5", peer, clientip.SourceHeaderShort},
		"an empty line":       {[]string{client + ",10.1.0.5", blanks}, client, client, 0},
		"before an entry":     {[]string{client + "," + blanks + "10.1.0.5"}, client, client, 0},
		"behind an entry":     {[]string{client + blanks + ",10.1.0.5" + blanks}, client, client, 0},
		"before the first":    {[]string{blanks + client + blanks + ",10.1.0.5"}, client, client, 0},
		"before all":          {[]string{blanks + client}, client, peer, clientip.SourceHeaderShort},
		"inside an entry": {
			[]string{client + ",1" + blanks + client + ",10.1.0.5"}, peer, peer, clientip.SourceHeaderInvalid,
		},
		"an entry as long as that": {
			[]string{client + "," + strings.Repeat("1", 300) + " ,10.1.0.5"}, peer, peer, clientip.SourceHeaderInvalid,
		},
	} {
		h := http.Header{"X-Forwarded-For": test.lines}
		if addr, source := walk.From(peer+":1", h); addr.String() != test.walk {
			t.Errorf("%s, walk: %v from %v, want %s", what, addr, source, test.walk)
		}
		addr, source := second.From(peer+":1", h)
		if addr.String() != test.second || test.second == peer && source != test.fault {
			t.Errorf("%s, second: %v from %v, want %s", what, addr, source, test.second)
		}
		n := testing.AllocsPerRun(10, func() { second.From(peer+":1", h) })
		if n != 0 && test.fault != clientip.SourceHeaderInvalid {
			t.Errorf("%s: %v allocations, want 0", what, n)
		}
	}
}

// The longest possible header takes time proportional to its length, not to the square of its length.
func TestBlanksAreReadOnce(t *testing.T) {
	e := extractor(t, clientip.Rule{Header: "X-Forwarded-For", Entry: 2})
	for what, line := range map[string]string{
		"blanks":                 strings.Repeat(" ", 4<<20),
		"empty entries":          strings.Repeat(" ,", 2<<20),
		"blanks before an entry": strings.Repeat(" ", 4<<20) + "203.0.113.7",
		"wide empty entries":     strings.Repeat(strings.Repeat(" ", 1000)+",", 4<<10),
		"blanks inside an entry": "1" + strings.Repeat(" ", 4<<20) + "1",
		"blanks behind an entry": "203.0.113.7" + strings.Repeat(" ", 4<<20),
	} {
		begin := time.Now()
		e.From("10.1.1.1:1", http.Header{"X-Forwarded-For": {line}})
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s: %v", what, took)
		}
	}
}
