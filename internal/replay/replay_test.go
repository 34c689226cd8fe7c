package replay

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/ranges"
)

const world = `version: 1
location: aws/us-east-1
ranges:
  overrides:
    - {cidr: 192.0.2.0/24, place: aws/us-east-1}
    - {cidr: 198.51.100.0/25, place: aws/eu-west-1}
    - {cidr: 198.51.100.128/25, place: gcp/europe-west1}
names:
  - {hosts: [direct.example.org], role: direct, candidates: [copy]}
deny: {repositories: [secret]}
upstreams:
  - {name: main, url: "https://main.example", place: aws/us-east-1, canonical: true}
  - {name: copy, url: "https://copy.example", place: gcp/europe-west1}
stores:
  - {name: near, place: aws/us-east-1, url: "https://near.example/{digest}", serves: [aws]}
`

// side compiles world with some words replaced.
func side(t testing.TB, replace ...string) *Side {
	t.Helper()
	text := world
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the world has no %s", replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	cfg, err := config.Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ranges.New(cfg.Ranges, cfg.Map(), ranges.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSide(cfg, noon, r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

const blob = "/v2/pause/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func get(client, path string, size int64) *accesslog.Record {
	r := &accesslog.Record{Method: "GET", Path: path, Status: 307, Weight: 1, Sent: 300, Size: size, Time: noon}
	if client != "" {
		r.Client = netip.MustParseAddr(client)
	}
	return r
}

// TestMoved: which requests go where, and what they cost, when a store is switched off.
func TestMoved(t *testing.T) {
	r := New(Options{Old: side(t), Next: side(t, "serves: [aws]}", "serves: [aws], state: off}")})
	for _, rec := range []*accesslog.Record{
		get("192.0.2.7", blob, 1e9),
		get("192.0.2.8", blob, 3e9),
		get("192.0.2.7", blob, accesslog.Unknown),
		get("192.0.2.7", "/v2/pause/manifests/3.10", accesslog.Unknown), // main answers it before and after
		get("198.51.100.200", blob, 1e9),                                // gcp: copy, before and after
		get("192.0.2.7", "/v2/secret/blobs/"+blob[len("/v2/pause/blobs/"):], 1e9),
		{Method: "HEAD", Path: blob, Status: 307, Weight: 2},
		{Method: "GET", Path: blob, Status: 503, Weight: 3},
		{Method: "GET", Path: "/v2/", Status: 200, Weight: 4},
		{Method: "GET", Path: blob, Status: 307, Weight: 5, Probe: true},
	} {
		r.Add(rec)
	}
	late := get("192.0.2.9", blob, 1e9)
	late.Time, late.Weight = noon.Add(2*time.Hour), 10
	r.Add(late)
	got := r.Report()
	if got.Requests != 16 || got.Bytes != 16e9 || got.Unsized != 1 || got.Moved.Requests != 13 || got.Moved.Bytes != 14e9 {
		t.Errorf("%+v", got)
	}
	if d := cmp.Diff(Skipped{Heads: 2, Refused: 3, Others: 4, Probes: 5}, got.Skipped); d != "" {
		t.Error(d)
	}
	if len(got.Moves) != 1 || got.Moves[0].Place != "aws/us-east-1" || got.Moves[0].From != "near" || got.Moves[0].To != "main" || got.Moves[0].Example.Path != blob {
		t.Errorf("moves %+v", got.Moves)
	}
	if d := cmp.Diff([]Choice{{"aws/us-east-1", 0}}, got.Lost); d == "" || len(got.Lost) != 0 || len(got.Gained) != 0 {
		t.Errorf("choices %+v %+v: copy is still there", got.Lost, got.Gained)
	}
	if f := got.Cost.Month.Factor; math.Abs(f-730.5/2) > 1e-6 {
		t.Errorf("the log fits %v times into a month", f)
	}
	if d := cmp.Diff(Hours{All: 3, Busy: 2}, got.Hours); d != "" || got.Hours.Gaps() || !(Hours{All: 3, Busy: 1}).Gaps() {
		t.Errorf("hours %s", d)
	}
	if d := cmp.Diff([]string{"near: state active → off"}, got.Changes); d != "" {
		t.Error(d)
	}
}

// TestMoney: bytes are priced at the candidate that each config chooses, for the client's place.
func TestMoney(t *testing.T) {
	alone := []string{"copy.example\", place: gcp/europe-west1", "copy.example\", place: gcp/europe-west1, serves: [gcp]", "serves: [aws]}"}
	next := side(t, append(alone, "serves: [aws], price: {sameCloud: 2}}")...)
	r := New(Options{Old: side(t, append(alone, "serves: [aws], price: {sameCloud: 1}}")...), Next: next, MonthRequests: 200})
	for range 2 {
		r.Add(get("198.51.100.7", blob, 5<<30))
	}
	got := r.Report().Cost
	want := Cost{Old: 0.10, New: 0.20, Change: 1, Known: true, Month: &Monthly{Old: 10, New: 20, Factor: 100}}
	if d := cmp.Diff(want, got, about); d != "" {
		t.Error(d)
	}
}

var about = cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })

// TestChoices: a client whose second candidate goes away is counted, and the other way round.
func TestChoices(t *testing.T) {
	alone := []string{"  - {name: copy, url: \"https://copy.example\", place: gcp/europe-west1}\n", "", "candidates: [copy]", "candidates: [near]"}
	two, one := side(t, alone...), side(t, append(alone, "serves: [aws]}", "serves: [aws], state: off}")...)
	for _, test := range []struct {
		old, next    *Side
		lost, gained int
	}{{two, one, 1, 0}, {one, two, 0, 1}, {two, two, 0, 0}} {
		r := New(Options{Old: test.old, Next: test.next})
		r.Add(get("192.0.2.7", blob, 1))
		got := r.Report()
		if len(got.Lost) != test.lost || len(got.Gained) != test.gained {
			t.Errorf("lost %+v, gained %+v; want %+v", got.Lost, got.Gained, test)
		}
	}
}

// TestLogWithoutAddresses: the log's place counts when the address is missing or cut, and a log cannot invent places.
func TestLogWithoutAddresses(t *testing.T) {
	half := side(t, "serves: [aws]}", "serves: [aws], rollout: 50}")
	r := New(Options{Old: side(t), Next: half})
	for i := range 1000 {
		rec := get("", fmt.Sprintf("/v2/pause/blobs/sha256:%064x", i), 1)
		rec.Place = "aws/us-east-1"
		r.Add(rec)
	}
	if share := r.Report().Moved.Share; share < 0.4 || share > 0.6 {
		t.Errorf("a rollout of half the clients moves %v of those without an address", share)
	}
	r = New(Options{Old: side(t), Next: side(t)})
	for i := range 1000 {
		rec := get("198.51.100.0", blob, 1)
		rec.Network, rec.Place = true, "gcp/europe-west1" // the first half of the network is aws
		r.Add(rec)
		rec.Place = fmt.Sprintf("aws/invented-%d", i)
		r.Add(rec)
		rec.Place = "nonsense"
		r.Add(rec)
	}
	if len(r.places) > 4 || r.places[0] != "gcp/europe-west1" {
		t.Errorf("places %q", r.places)
	}
	// An override that the new config adds for the network wins over the log.
	r = New(Options{Old: side(t), Next: side(t, "198.51.100.0/25, place: aws/eu-west-1", "198.51.100.0/25, place: aws/us-west-2")})
	rec := get("198.51.100.0", blob, 1)
	rec.Network, rec.Place = true, "gcp/europe-west1"
	r.Add(rec)
	if r.places[0] != "aws/us-west-2" {
		t.Errorf("places %q", r.places)
	}
}

// TestNames: clients of a direct name stay with its candidates, whatever the rest of the config says.
func TestNames(t *testing.T) {
	next := side(t, "candidates: [copy]", "candidates: [near]")
	for host, moved := range map[string]int64{"direct.example.org": 1, "Direct.example.org.": 1, "": 0, "registry.example.org": 0} {
		r := New(Options{Old: side(t), Next: next, Host: host})
		r.Add(get("192.0.2.7", blob, 1))
		rec := get("192.0.2.7", blob, 1)
		rec.Host = "registry.example.org"
		r.Add(rec)
		got := r.Report()
		if got.Moved.Requests != moved || moved > 0 && got.Moves[0].Example.Host != host {
			t.Errorf("%q: %+v", host, got.Moves)
		}
	}
}

// TestDenied: requests that the new config forbids are moved, and have no round trip.
func TestDenied(t *testing.T) {
	r := New(Options{Old: side(t), Next: side(t, "[secret]", "[secret, pause]")})
	r.Add(get("192.0.2.7", blob, 1e9))
	got := r.Report()
	if got.Denied != 1 || got.Moved.Share != 1 || got.Moves[0].To != DeniedName || got.RTT != (RTT{}) || len(got.Lost) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestAnnounced: dates count as of the time at which the configs are compared.
func TestAnnounced(t *testing.T) {
	r := New(Options{Old: side(t), Next: side(t, "serves: [aws]}", "serves: [aws], announce: {from: 2026-12-10}}")})
	r.Add(get("192.0.2.7", blob, 1))
	if got := r.Report(); got.Moved.Requests != 1 {
		t.Errorf("%+v", got.Moved)
	}
}

// TestAgreement: decisions in the log that the old config does not make are counted by their reasons.
func TestAgreement(t *testing.T) {
	r := New(Options{Old: side(t), Next: side(t)})
	for why, candidate := range map[string]string{"nearest": "near", "absent": "main", "made up": "nobody"} {
		rec := get("192.0.2.7", blob, 1)
		rec.Candidate, rec.Reason = candidate, why
		r.Add(rec)
	}
	want := Agreement{Same: 1, Differ: 2, Reasons: map[string]int64{"absent": 1}}
	if d := cmp.Diff(want, r.Report().Log); d != "" {
		t.Error(d)
	}
}

func TestJudge(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	for _, test := range []struct {
		report Report
		limits Limits
		want   string // why a gate fails; "": all pass
	}{
		{Report{Moved: Moved{Share: 0.06}}, Limits{}, ""},
		{Report{Moved: Moved{Share: 0.05}}, Limits{Moved: v(0.05)}, ""},
		{Report{Moved: Moved{Share: 0.06}}, Limits{Moved: v(0.05)}, "6%, the limit is 5%"},
		{Report{Cost: Cost{Known: true, Old: 1, Change: 0.03}}, Limits{Cost: v(0.02)}, "+3%, the limit is +2%"},
		{Report{Cost: Cost{Known: true, Old: 1, Change: -0.5}}, Limits{Cost: v(0.02)}, ""},
		{Report{}, Limits{Cost: v(0.02)}, "no size of any blob"},
		{Report{Cost: Cost{Known: true, New: 5}}, Limits{Cost: v(0.02)}, "nothing was paid before"},
		{Report{RTT: RTT{Change: 1.5}}, Limits{RTT: v(1)}, "+1.5 ms, the limit is +1 ms"},
	} {
		passed := test.report.Judge(test.limits)
		why := ""
		for _, g := range test.report.Gates {
			why += g.Why
		}
		if passed != (test.want == "") || !strings.Contains(why, test.want) {
			t.Errorf("%+v: %v %q, want %q", test.limits, passed, why, test.want)
		}
	}
}

// TestAddAllocates: a request costs no memory once its kind is known.
func TestAddAllocates(t *testing.T) {
	r := New(Options{Old: side(t), Next: side(t, "serves: [aws]}", "serves: [aws], state: off}")})
	rec := get("192.0.2.7", blob, 1e9)
	r.Add(rec)
	if n := testing.AllocsPerRun(100, func() { r.Add(rec) }); n > 0 {
		t.Errorf("%v allocations for a request", n)
	}
}
