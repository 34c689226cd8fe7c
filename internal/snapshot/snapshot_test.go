package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

const text = `
version: 1
location: aws/us-east-1
route:
  pin: [{cloud: azure, to: [eu]}]
deny: {repositories: [secret]}
stores:
  - {name: va, place: aws/us-east-1, serves: [aws], url: "https://va.example/{digest}", rollout: 25}
  - {name: cdn, cdn: cloudfront, serves: [internet], url: "https://cdn.example/{digest}",
     check: "https://origin.example/{digest}", state: filling, families: [ipv4]}
upstreams:
  - {name: us, url: "https://us.example", prefix: p/i, place: gcp/us-central1, canonical: true}
  - {name: eu, url: "https://eu.example", place: gcp/europe-west1, serves: [gcp], state: off, families: [ipv6]}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The keys of each stanza must appear in its candidate.
func TestOf(t *testing.T) {
	snap, err := Of(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range snap.Candidates {
		at := c.Place.String()
		if c.CDN != "" {
			at = c.CDN
		}
		got = append(got, fmt.Sprintf("%s %s %s serves %q active %v rollout %d ip %v %v canonical %v %q %s %s",
			c.Kind, c.Name, at, c.Serves.String(), c.Active, c.Rollout, c.IPv4, c.IPv6, c.Canonical, c.Prefix, c.URL, c.Check))
	}
	want := []string{
		`store va aws/us-east-1 serves "aws" active true rollout 25 ip true true canonical false "" ` +
			"https://va.example/{digest} https://va.example/{digest}",
		`store cdn cloudfront serves "internet" active false rollout 100 ip true false canonical false "" ` +
			"https://cdn.example/{digest} https://origin.example/{digest}",
		`upstream us gcp/us-central1 serves "all" active true rollout 100 ip true true canonical true "p/i" ` +
			"https://us.example https://us.example",
		`upstream eu gcp/europe-west1 serves "gcp" active false rollout 100 ip false true canonical false "" ` +
			"https://eu.example https://eu.example",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("candidates (-want +got)\n%s", d)
	}
}

// The examples in the repository can be used for routing.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		cfg, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Route.Latency = "" // the file is not in the repository
		if _, err := Of(cfg); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Measured round trips replace the estimate, in both directions.
func TestMatrix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.csv")
	cfg := parse(t, text)
	cfg.Route.Latency = file
	of := func(csv string) (*route.Snapshot, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(csv), 0o600); err != nil {
			t.Fatal(err)
		}
		return Of(cfg)
	}
	snap, err := of("# measured\naws/us-east-1, gcp/us-central1, 1234.5\n")
	if err != nil {
		t.Fatal(err)
	}
	virginia, err := place.Parse("aws/us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range snap.Ranking(&route.Client{Place: virginia}).Upstreams {
		if measured := snap.Candidates[e.Candidate].Name == "us"; (e.RTT == 1234.5) != measured {
			t.Errorf("%s: %v ms", snap.Candidates[e.Candidate].Name, e.RTT)
		}
	}
	for csv, want := range map[string]string{
		"aws/us-east-1,gcp/us-central1":             "wrong number of fields",
		"\naws/us-east-1,gcp/us-central1,x":         `line 2: "x" is not a round trip in milliseconds`,
		"aws/us-east-1,gcp/us-central1,-1":          `line 1: "-1" is not a round trip`,
		"aws/us-east-1,gcp/us-central1,NaN":         `line 1: "NaN" is not a round trip`,
		"aws/us-east-1,gcp/us-central1,60000":       `line 1: "60000" is not a round trip`,
		"aws/atlantis-1,gcp/us-central1,1":          `line 1: place "aws/atlantis-1" is not on the map`,
		"aws/us-east-1,nowhere,1":                   "line 1: ",
		`{"aws/us-east-1": {"gcp/us-central1": 1}}`: "latency.csv: ",
	} {
		if _, err := of(csv); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "route.latency: ") {
			t.Errorf("%q: error %v, want %q", csv, err, want)
		}
	}
	cfg.Route.Latency = filepath.Join(t.TempDir(), "gone.csv")
	if _, err := Of(cfg); err == nil || !strings.HasPrefix(err.Error(), "route.latency: ") {
		t.Errorf("no file: error %v", err)
	}
}
