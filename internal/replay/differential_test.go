package replay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/proxy"
	"ociproxy/internal/ranges"
	"ociproxy/internal/wait"
)

// impossible matches the digest that no content has. The server does not believe a candidate that says it holds this.
var impossible = regexp.MustCompile(":0+$")

// holdsAll answers every question for a blob or manifest with yes, which is what a replay assumes. What the answers say
// does not matter here: only the decisions are compared.
func holdsAll(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if impossible.MatchString(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", "1000")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// randomConfig makes a config of a few stores and upstreams at random places, with everything that changes a decision.
func randomConfig(r *rand.Rand, url, csv string, places []place.Place) string {
	var b strings.Builder
	at := func() place.Place { return places[r.IntN(len(places))] }
	fmt.Fprintf(&b, "version: 1\nlocation: %s\nranges: {feeds: [{provider: csv, file: %q}]}\n", at(), csv)
	fmt.Fprintf(&b, "route:\n  costWeight: %d\n", r.IntN(10))
	if r.IntN(2) == 0 {
		b.WriteString("  pin: [{cidr: 10.64.0.0/10, to: [s1, u1]}, {cloud: azure, to: [u1]}]\n")
	}
	b.WriteString("deny: {repositories: [secret]}\nnames: [{hosts: [direct.example.org], role: direct, candidates: [u1, s0]}]\nupstreams:\n")
	for i := range 3 {
		fmt.Fprintf(&b, "  - {name: u%d, url: %q, insecure: true, prefix: u%d, place: %s, canonical: %v}\n", i, url, i, at(), i == 0)
	}
	b.WriteString("stores:\n")
	for i := range 6 {
		serves := []string{"aws", "gcp", "azure", "all", "internet"}[r.IntN(5)]
		family := []string{"ipv4", "ipv6", "ipv4, ipv6"}[r.IntN(3)]
		state := []string{"active", "active", "active", "off"}[r.IntN(4)]
		fmt.Fprintf(&b, "  - {name: s%d, url: \"%s/s%d/{digest}\", insecure: true, place: %s, serves: [%s], families: [%s], state: %s, rollout: %d}\n",
			i, url, i, at(), serves, family, state, []int{100, 100, 50, 5, 0}[r.IntN(5)])
	}
	return b.String()
}

// TestSameAsExplain decides random requests, and asks a server of each config where it would send them.
func TestSameAsExplain(t *testing.T) {
	const configs, requests = 6, 600
	r := rand.New(rand.NewPCG(15, 4))
	url := holdsAll(t)
	var places []place.Place
	var rows strings.Builder
	for i, s := range place.Embedded().Sites() {
		if s.Cloud == "aws" || s.Cloud == "gcp" || s.Cloud == "azure" {
			places = append(places, s.Place)
			fmt.Fprintf(&rows, "10.%d.%d.0/25,%s\n2001:db8:%x::/48,%s\n", i/200+60, i%200, s.Place, i, s.Place)
		}
	}
	csv := filepath.Join(t.TempDir(), "ranges.csv")
	if err := os.WriteFile(csv, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var sides []*Side
	var servers []*proxy.Server
	for len(sides) < configs {
		cfg, err := config.Parse("c.yaml", []byte(randomConfig(r, url, csv, places)))
		if err != nil {
			t.Fatal(err)
		}
		table, err := ranges.New(cfg.Ranges, cfg.Map(), ranges.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSide(cfg, time.Now(), table)
		if err != nil {
			t.Fatal(err)
		}
		server, err := proxy.New(proxy.Options{Config: cfg, Env: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		sides, servers = append(sides, s), append(servers, server)
	}
	seen := map[string]int{}
	for n := range requests {
		addr := netip.AddrFrom4([4]byte{10, byte(60 + r.IntN(3)), byte(r.IntN(200)), byte(r.IntN(256))})
		if r.IntN(3) == 0 {
			addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", r.IntN(200), r.IntN(99)))
		}
		name := []string{"pause", "sub/pause", "secret"}[r.IntN(3)]
		path := fmt.Sprintf("/v2/%s/blobs/sha256:%064x", name, 1+r.IntN(3))
		switch r.IntN(6) {
		case 0:
			path = fmt.Sprintf("/v2/%s/manifests/sha256:%064x", name, 1+r.IntN(3))
		case 1:
			path = "/v2/" + name + "/manifests/3.10"
		case 2:
			path = fmt.Sprintf("/v2/%s/blobs/sha512:%0128x", name, 1+r.IntN(3))
		}
		host := []string{"", "direct.example.org", "registry.example.org"}[r.IntN(3)]
		i, j := n%configs, (n+1+n/configs)%configs
		run := New(Options{Old: sides[i], Next: sides[j]})
		run.Add(&accesslog.Record{Method: "GET", Client: addr, Host: host, Path: path, Status: 307, Weight: 1, Sent: 1, Size: 1, Span: 1})
		report := run.Report()
		was, is := explained(t, servers[i], addr, host, path), explained(t, servers[j], addr, host, path)
		seen[was.Answer.Reason]++
		if was.Answer.Candidate != is.Answer.Candidate {
			want := Traffic{From: named(was), To: named(is)}
			if len(report.Moves) != 1 || report.Moves[0].From != want.From || report.Moves[0].To != want.To {
				t.Errorf("%s %q %s: %+v, explain says %+v", addr, host, path, report.Moves, want)
			}
		} else if len(report.Moves) > 0 {
			t.Errorf("%s %q %s: %+v, explain says %s stays", addr, host, path, report.Moves, named(was))
		}
		if was.Answer.Candidate == "" || is.Answer.Candidate == "" {
			continue
		}
		// The round trips are those of the rows that explain shows.
		if got, want := report.RTT.Old, rtt(was); got != want {
			t.Errorf("%s %q %s: %v ms, explain says %v", addr, host, path, got, want)
		}
		if got, want := report.RTT.New, rtt(is); got != want {
			t.Errorf("%s %q %s: %v ms, explain says %v", addr, host, path, got, want)
		}
	}
	for _, why := range []string{"nearest", "denied", "rollout", "pinned", "unreachable"} {
		if seen[why] == 0 {
			t.Errorf("no request was answered for the reason %s: %v", why, seen)
		}
	}
}

// explained asks the server again until it knows what all candidates hold: it paces its questions to them.
func explained(t *testing.T, s *proxy.Server, addr netip.Addr, host, path string) *proxy.Explanation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		e, err := s.ExplainHost(ctx, addr, host, path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(e.Candidates, func(c proxy.ExplainedCandidate) bool { return strings.Contains(c.Verdict, "in time") }) {
			return e
		}
		if err := wait.For(ctx, 10*time.Millisecond); err != nil {
			t.Fatalf("%s %s: the candidates do not say what they hold: %+v", addr, path, e.Candidates)
		}
	}
}

func named(e *proxy.Explanation) string {
	if e.Answer.Candidate == "" {
		return DeniedName
	}
	return e.Answer.Candidate
}

func rtt(e *proxy.Explanation) float64 {
	for _, c := range e.Candidates {
		if c.Taken {
			return c.RTT
		}
	}
	return -1
}
