package hostlist

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/endpoints"
)

const text = `version: 1
names:
  - {hosts: [registry.example.org, r2.example.org]}
  - {hosts: [old.example.org], role: legacy}
  - {hosts: [direct.example.org], role: direct, candidates: [bare, replica]}
  - {hosts: [sandbox.example.org], role: sandbox}
endpoints: {notice: 336h, wildcards: ["*.free.example.org", "*.s3.dualstack.us-east-1.amazonaws.com"]}
upstreams:
  - {name: main, url: "https://Main.example", place: aws/us-east-1, canonical: true, redirectsTo: ["*.storage.example"]}
  - {name: replica, url: "https://eu.example", place: gcp/europe-west1, announce: {from: 2026-12-10, until: 2027-12-10}}
  - {name: later, url: "https://later.example", place: gcp/europe-west1, state: filling}
stores:
  - {name: bare, place: aws/us-east-1, serves: [aws], url: "https://layers-x.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}",
     check: "https://check.example/{digest}", inventory: {url: "https://inventory.example/"}}
  - {name: cdn, cdn: cloudfront, serves: [all], url: "https://cdn.example/{digest}.bin", families: [ipv4], redirectsTo: ["to.example:8443"], announce: {from: "2026-12-20T09:00:00Z"}}
  - {name: draining, place: aws/us-east-1, serves: [aws], url: "https://draining.example/{digest}", state: draining}
  - {name: filling, place: aws/us-east-1, serves: [aws], url: "https://filling.example/{digest}", state: filling}
  - {name: announced, place: aws/us-east-1, serves: [aws], url: "https://announced.example/{digest}", state: filling, announce: {from: 2027-01-01}}
  - {name: "off", place: aws/us-east-1, serves: [aws], url: "https://off.example/{digest}", state: off, announce: {from: 2027-01-01}}
  - {name: test, place: aws/us-east-1, serves: [aws], url: "http://127.0.0.1:9000/{digest}", insecure: true}
  - {name: test80, place: aws/us-east-1, serves: [aws], url: "http://[2001:db8::1]/{digest}", insecure: true}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func lines(l *endpoints.List) []string {
	var out []string
	for i := range l.Endpoints {
		e := &l.Endpoints[i]
		line := fmt.Sprintf("%s %s:%d %s %s/%s %s %s", e.Kind, e.Host, e.Port, strings.Join(e.Families, "+"), e.Provider, e.Region, e.Bucket, e.Objects)
		if e.Insecure {
			line += " insecure"
		}
		for _, at := range []time.Time{e.Since, e.Until} {
			if !at.IsZero() {
				line += " " + at.Format("2006-01-02T15")
			}
		}
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}

// The list has each host that a client can be sent to, and no other.
func TestEachHost(t *testing.T) {
	cfg := parse(t, text)
	l, err := Main(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"registry r2.example.org:443 /",
		"registry registry.example.org:443 /",
		"upstream eu.example:443 ipv4+ipv6 gcp/europe-west1 2026-12-10T00 2027-12-10T00",
		"upstream main.example:443 ipv4+ipv6 aws/us-east-1",
		"store 127.0.0.1:9000 ipv4+ipv6 aws/us-east-1 insecure",
		"store 2001:db8::1:80 ipv4+ipv6 aws/us-east-1 insecure",
		"store announced.example:443 ipv4+ipv6 aws/us-east-1 2027-01-01T00",
		"store cdn.example:443 ipv4 cloudfront/ 2026-12-20T09",
		"store draining.example:443 ipv4+ipv6 aws/us-east-1",
		"store layers-x.s3.dualstack.us-east-1.amazonaws.com:443 ipv4+ipv6 aws/us-east-1 arn:aws:s3:::layers-x containers/images/",
		"redirect *.storage.example:443 /",
		"redirect to.example:8443 / 2026-12-20T09",
		"wildcard *.free.example.org:443 /",
		"wildcard *.s3.dualstack.us-east-1.amazonaws.com:443 /",
	}
	if diff := cmp.Diff(want, lines(l)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if again, err := endpoints.Parse(l.Text()); err != nil || cmp.Diff(l, again) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(l, again))
	}
	if other, err := Main(parse(t, "# another comment\n"+text)); err != nil || !bytes.Equal(other.Text(), l.Text()) {
		t.Errorf("%v: the same config gives another list", err)
	}
	primary, err := For(cfg, &cfg.Names[0])
	if err != nil || primary.Version != l.Version {
		t.Errorf("%v: the list of a primary name is another one", err)
	}
}

// Each name publishes what its clients can be sent to.
func TestNames(t *testing.T) {
	cfg := parse(t, text)
	for i, want := range map[int][]string{
		1: {"registry old.example.org:443 /", "registry r2.example.org:443 /", "registry registry.example.org:443 /"},
		3: {"registry r2.example.org:443 /", "registry registry.example.org:443 /", "registry sandbox.example.org:443 /"},
	} {
		l, err := For(cfg, &cfg.Names[i])
		if err != nil {
			t.Fatal(err)
		}
		got := lines(l)
		if diff := cmp.Diff(want, got[:3]); diff != "" || len(got) != 15 {
			t.Errorf("name %d: %d hosts (-want +got)\n%s", i, len(got), diff)
		}
	}
	l, err := For(cfg, &cfg.Names[2])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"registry direct.example.org:443 /",
		"upstream eu.example:443 ipv4+ipv6 gcp/europe-west1 2026-12-10T00 2027-12-10T00",
		"upstream main.example:443 ipv4+ipv6 aws/us-east-1",
		"store layers-x.s3.dualstack.us-east-1.amazonaws.com:443 ipv4+ipv6 aws/us-east-1 arn:aws:s3:::layers-x containers/images/",
		"redirect *.storage.example:443 /",
		"wildcard *.s3.dualstack.us-east-1.amazonaws.com:443 /",
	}
	if diff := cmp.Diff(want, lines(l)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Every example can be published.
func TestExamples(t *testing.T) {
	for _, name := range []string{"minimal", "kubernetes", "on-prem", "multicloud", "s3-compatible"} {
		cfg, err := config.Load("../../../examples/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		l, err := Main(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := endpoints.Parse(l.Text()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		buckets := 0
		for _, e := range l.Endpoints {
			if e.Bucket != "" {
				buckets++
			}
		}
		if name == "kubernetes" && buckets != 33 {
			t.Errorf("%d buckets, want 33", buckets)
		}
	}
}

// A list has a bound, and the error says what to do.
func TestTooManyNames(t *testing.T) {
	cfg := parse(t, text)
	for i := range endpoints.MaxEndpoints {
		cfg.Names[0].Hosts = append(cfg.Names[0].Hosts, fmt.Sprintf("h%d.example.org", i))
	}
	if _, err := Main(cfg); err == nil || !strings.Contains(err.Error(), "list fewer `names`") {
		t.Error(err)
	}
}

// The feed is what RFC 4287 requires: ids that stay and are unique, dates, an author, and entries with a text.
func TestAtom(t *testing.T) {
	l, err := Main(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	got := Atom(l, "registry.example.org")
	want, err := os.ReadFile("testdata/feed.atom")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var feed struct {
		XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
		ID      string   `xml:"id"`
		Updated string   `xml:"updated"`
		Entries []struct {
			ID      string `xml:"id"`
			Updated string `xml:"updated"`
			Title   string `xml:"title"`
		} `xml:"entry"`
	}
	if err := xml.Unmarshal(got, &feed); err != nil {
		t.Fatal(err)
	}
	if len(feed.Entries) != 5 {
		t.Errorf("%d entries, want 5", len(feed.Entries))
	}
	ids := map[string]bool{feed.ID: true}
	for _, e := range feed.Entries {
		if ids[e.ID] {
			t.Errorf("the id of %s is not its own", e.Title)
		}
		ids[e.ID] = true
		if at, err := time.Parse(time.RFC3339, e.Updated); err != nil || e.Updated > feed.Updated {
			t.Errorf("%s: updated %v, %v", e.Title, at, err)
		}
	}
	// A host more changes no other entry.
	more, err := Main(parse(t, text+`  - {name: new, place: aws/us-east-1, serves: [aws], url: "https://new.example/{digest}", announce: {from: 2026-12-11}}`+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	after := string(Atom(more, "registry.example.org"))
	for id := range ids {
		if !strings.Contains(after, "<id>"+id+"</id>") {
			t.Errorf("the id %s is gone", id)
		}
	}
	if empty := Atom(endpoints.New(nil, 0), "x & y"); xml.Unmarshal(empty, &feed) != nil || !bytes.Contains(empty, []byte("x &amp; y")) {
		t.Errorf("%s", empty)
	}
}
