package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const flatText = `version: 1
location: aws/us-east-1
places: {onprem/x: {lat: 52.5, lon: 13.4, country: DE}}
ranges: {feeds: [{provider: aws}, {provider: gcp}]}
upstreams: [{name: main, url: "https://main.example", place: aws/us-east-1, canonical: true}]
stores:
  - {name: a, place: aws/us-east-1, url: "https://a.example/{digest}", serves: [aws, internet], price: {internet: 0}}
  - {name: b, cdn: fastly, url: "https://b.example/{digest}", serves: all}
`

func parseText(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Compare finds each change by its path, and only that one.
func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		want     []Difference
	}{
		{"version: 1", "version: 1 # the same", nil},
		{"serves: all", "serves: [all]", nil},
		{"serves: all", "serves: all, rollout: 100, state: active", nil},
		{"serves: all", "serves: all, rollout: 0", []Difference{{"stores[1].rollout", "100", "0"}}},
		{"serves: all", "serves: all, state: 'off'", []Difference{{"stores[1].state", "active", "off"}}},
		{"serves: all", "serves: [gcp, aws]", []Difference{{"stores[1].serves", "all", "gcp, aws"}}},
		{"price: {internet: 0}", "price: {}", []Difference{{"stores[0].price.internet", "0", ""}}},
		{"price: {internet: 0}", "price: {internet: 0, sameCloud: 1}", []Difference{{"stores[0].price.sameCloud", "", "1"}}},
		{"lat: 52.5", "lat: 0", []Difference{{"places.onprem/x.lat", "52.5", "0"}}},
		{"location: aws/us-east-1\n", "", []Difference{{"location", "aws/us-east-1", ""}}},
		{"{provider: gcp}", "{provider: oracle}", []Difference{
			{"ranges.feeds[1].provider", "gcp", "oracle"}, {"ranges.feeds[1].url", feedURLs[GCP], feedURLs[Oracle]},
		}},
	} {
		if !strings.Contains(flatText, tt.from) {
			t.Fatalf("no %s", tt.from)
		}
		got := Compare(parseText(t, strings.Replace(flatText, tt.from, tt.to, 1)), parseText(t, flatText))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s → %s (-want +got)\n%s", tt.from, tt.to, diff)
		}
	}
}

// Every value that Print writes is one that Compare sees: a field that is forgotten here could change unseen.
func TestValuesAreComplete(t *testing.T) {
	c, err := Load("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	scalars := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasSuffix(line, ":") && line != "-" {
			scalars++
		}
	}
	if got := len(Values(c)); got < scalars {
		t.Errorf("%d values, and %d lines with one in\n%s", got, scalars, text)
	}
}

// The hash belongs to what the store is, not to its traffic and not to the spelling.
func TestStoreHash(t *testing.T) {
	store := func(text string) *Store { return &parseText(t, text).Stores[0] }
	want := store(flatText).Hash()
	for from, to := range map[string]string{
		"{name: a,":         "{name: a, state: off, rollout: 3,",
		"[aws, internet]":   "[ aws , 'internet' ]",
		"{name: a, place: ": "{check: \"https://a.example/{digest}\", families: [ipv4, ipv6], name: a, place: ",
		"b.example":         "c.example",
	} {
		if got := store(strings.Replace(flatText, from, to, 1)).Hash(); got != want {
			t.Errorf("%s → %s changes the hash", from, to)
		}
	}
	s := store(flatText)
	for _, f := range fieldsOf(reflect.TypeFor[Store]()) {
		changed := *s
		switch v := reflect.ValueOf(&changed).Elem().Field(f.index); v.Kind() {
		case reflect.String:
			v.SetString("other")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int:
			v.SetInt(1)
		default:
			continue
		}
		if traffic := f.key == "state" || f.key == "rollout"; (changed.Hash() == want) != traffic {
			t.Errorf("%s: the hash is the same: %t", f.key, !traffic)
		}
	}
	if len(want) != 64 {
		t.Errorf("hash %q", want)
	}
}
