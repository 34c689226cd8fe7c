package snapshot

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
)

const owned = `
version: 1
location: onprem/x
places:
  onprem/x: {lat: 52.5, lon: 13.4, country: DE, price: {internet: 3}}
  onprem/y: {lat: 52.5, lon: 13.4, country: DE}
  onprem/c: {lat: 52.5, lon: 13.5, country: DE}
stores:
  - {name: va, place: aws/us-east-1, serves: [aws], url: "https://va.example/{digest}",
     inventory: {url: "https://va.example/inventory"}}
  - {name: own, place: onprem/x, serves: [internet], url: "https://own.example/{digest}"}
  - {name: cdn, cdn: cloudfront, place: onprem/c, serves: [all], url: "https://cdn.example/{digest}",
     price: {internet: 2}}
upstreams:
  - {name: us, url: "https://us.example", place: gcp/us-central1, canonical: true}
  - {name: eu, url: "https://eu.example", place: gcp/europe-west1, serves: [gcp], maxRPS: 100, lag: 1m}
`

// A change in the file must be reported for each candidate that it affects, even if the candidate's stanza is
// unchanged.
func TestDifferNamesWhatAFileChanged(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     []string
	}{
		{"version: 1", "version: 1", nil},
		{"price: {internet: 3}", "price: {internet: 9}", []string{"own: price"}},
		{", price: {internet: 3}}", "}", []string{"own: price"}},
		{"price: {internet: 3}", "price: {internet: 3, sameCloud: 1}", []string{"own: price"}},
		{"onprem/x: {lat: 52.5", "onprem/x: {lat: -33.9", []string{"own: place"}},
		{"country: DE, price", "country: FR, price", []string{"own: place"}},
		{"country: DE, price", "country: DE, partition: z, price", []string{"own: place"}},
		{"onprem/y: {lat: 52.5", "onprem/y: {lat: -33.9", nil},                 // no candidate is there
		{"13.5, country: DE", "13.5, country: DE, price: {sameCloud: 1}", nil}, // a CDN ignores the price of its place
		{"country: DE, price", "country: DE, name: Berlin, price", nil},
		{"country: DE, price", "country: DE, aliases: [xx], price", nil},
		{"example/inventory", "example/list", []string{"va: inventory"}},
		{"https://va.example/{", "https://vb.example/{", []string{"va: url"}},
		{`va.example/{digest}"`, `va.example/{digest}", check: "https://v.example/{digest}"`, []string{"va: check"}},
		{"serves: [gcp]", "serves: [gcp, azure]", []string{"eu: serves"}},
		{"maxRPS: 100", "maxRPS: 50", []string{"eu: maxRPS"}},
		{"lag: 1m", "lag: 2m", []string{"eu: lag"}},
		{"lag: 1m", "state: draining, prefix: p", []string{"eu: prefix, state active → draining, lag"}},
		{"price: {internet: 2}", "price: {internet: 4}, rollout: 7", []string{"cdn: rollout 100 → 7, price"}},
		{"serves: [aws], url", "serves: [aws], announce: {from: 2026-12-10}, redirectsTo: [b.example], url", []string{"va: redirectsTo, announce"}},
		{"place: onprem/x", "place: onprem/y", []string{"own: place, price"}},
		{"place: aws/us-east-1", "place: aws/us-west-2", []string{"va: place"}},
		{"name: own", "name: other", []string{"other: new", "own: removed"}},
		// The stores at list price change. The prices of own and cdn are fixed; gcp's list has tiers too.
		{"location:", "route: {monthlyTB: 1000}\nlocation:", []string{"eu: price", "us: price", "va: price"}},
	} {
		if !strings.Contains(owned, test.from) {
			t.Fatalf("no %s in the file", test.from)
		}
		next := strings.Replace(owned, test.from, test.to, 1)
		if got := Differ(parse(t, next), parse(t, owned)); !slices.Equal(got, test.want) {
			t.Errorf("%s → %s: %q, want %q", test.from, test.to, got, test.want)
		}
	}
}

// A store that becomes an upstream is a different candidate under an old name.
func TestDifferNamesAnotherKind(t *testing.T) {
	old, next := parse(t, owned), parse(t, owned)
	next.Stores = next.Stores[1:]
	next.Upstreams = append(next.Upstreams, config.Upstream{Name: "va"})
	if got := Differ(next, old); !slices.Equal(got, []string{"va: kind"}) {
		t.Errorf("%q", got)
	}
}

// The test changes each key of a stanza, including keys added in the future. Differ must name each of them.
func TestDifferKnowsEachKey(t *testing.T) {
	for what, stanza := range map[string]func(*config.Config) reflect.Value{
		"store":    func(c *config.Config) reflect.Value { return reflect.ValueOf(&c.Stores[0]).Elem() },
		"upstream": func(c *config.Config) reflect.Value { return reflect.ValueOf(&c.Upstreams[1]).Elem() },
	} {
		for i := range stanza(parse(t, owned)).NumField() {
			old, next := parse(t, owned), parse(t, owned)
			v := stanza(next)
			key := v.Type().Field(i).Tag.Get("yaml")
			if key == "name" {
				continue
			}
			if !another(v.Field(i)) {
				t.Errorf("%s: the test knows no other %s", what, key)
				continue
			}
			name := v.FieldByName("Name").String()
			got := Differ(next, old)
			if len(got) != 1 || got[0] != name+": "+key && !strings.HasPrefix(got[0], name+": "+key+" ") {
				t.Errorf("%s: %q, want %s", what, got, key)
			}
		}
	}
}

// another gives v a different value, and reports whether it could.
func another(v reflect.Value) bool {
	if t, ok := v.Addr().Interface().(*time.Time); ok {
		*t = t.AddDate(1, 0, 0)
		return true
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		return another(v.Field(v.NumField() - 1))
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	default:
		return false
	}
	return true
}
