package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/place"
)

const upstream = "upstreams: [{name: main, url: 'https://r.example', place: aws/us-east-1, canonical: true}]\n"

func TestOneFault(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "f:1:1: the file is empty"},
		{"only a comment", "# nothing\n", "f:1:1: the file is empty"},
		{"null", "~\n", `f:1:1: missing key "version"`},
		{"a list", "- version: 1\n", "f:1:1: expected keys and values, found a list"},
		{"two documents", "version: 1\n" + upstream + "---\nversion: 1\n", "f:3:1: a second document begins here"},
		{"unfinished", "version: 1\nlisten: \"x\n", "f:3:1: not YAML: found unexpected end of stream (while scanning a quoted scalar that begins in line 2)"},
		{"unknown anchor", "version: 1\nlisten: *here\n", "f:2:9: not YAML: unknown anchor 'here' referenced"},
		{"too large", strings.Repeat("# x\n", MaxBytes/4+1), "f:1:1: the file is larger than 8 MiB"},
		{"newer", "version: 7\nnews: 1\n", "f:1:10: version: this file has format version 7; this release reads version 1"},
		{"older", "version: 0\n" + upstream, "f:1:10: version: unknown format version 0"},
		{"no version", upstream, `f:1:1: missing key "version"`},
		{"no upstreams", "version: 1\n", `f:1:1: missing key "upstreams"`},
		{"empty upstreams", "version: 1\nupstreams: []\n", "f:2:12: upstreams: there is no upstream"},
		{"no canonical", "version: 1\n" + strings.Replace(upstream, "canonical: true", "canonical: false", 1), "f:2:12: upstreams: no upstream is canonical"},
		{"duplicate at the top", "version: 1\n" + upstream + "version: 1\n", `f:3:1: version: duplicate key "version"`},
		{"a place twice", "version: 1\n" + upstream + "places:\n  x/y: {lat: 1, lon: 1, country: DE}\n  \"x/y\": {lat: 1, lon: 1, country: DE}\n", `f:5:3: places.x/y: duplicate key "x/y"`},
		{"a mapping in itself", "version: 1\nlog: &l {<<: *l}\n" + upstream, "f:2:14: log: a mapping cannot be merged into itself"},
		{"merging a word", "version: 1\nlog: {<<: word}\n" + upstream, "f:2:11: log: `<<` merges mappings, found \"word\""},
		{"an alias is wrong where it stands", "version: 1\nlisten: &x \":1\"\nlocation: *x\n" + upstream, `f:3:11: location: expected a place, found ":1": place ":1": want cloud/region, such as aws/us-east-1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.text))
			var faults *Errors
			if !errors.As(err, &faults) {
				t.Fatalf("got %v", err)
			}
			found := false
			for _, f := range faults.List {
				found = found || f.Error() == tt.want
			}
			if !found {
				t.Errorf("want %s\ngot  %v", tt.want, err)
			}
		})
	}
}

func TestAliasesOfPlacesBecomePlaces(t *testing.T) {
	c, err := Parse("f", []byte("version: 1\nlocation: azure/brazilse\n"+upstream))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Location.String(); got != "azure/brazilsoutheast" {
		t.Errorf("location %s", got)
	}
}

func TestWarnings(t *testing.T) {
	const stores = "stores:\n- {name: a, place: aws/us-east-1, serves: [aws], url: 'https://a.s3.eu-west-1.amazonaws.com/{digest}'}\n" +
		"- {name: b, place: aws/us-east-1, serves: [aws], url: 'https://a.s3.eu-west-1.amazonaws.com/{digest}', families: [ipv4], state: filling}\n" +
		"- {name: c, cdn: other, serves: [gcp], url: 'https://c.example/{digest}'}\n"
	const rest = "client: {behind: google-lb}\nlimits: {idleTimeout: 610s}\n" +
		"ranges: {feeds: [{provider: aws}, {provider: oracle}], overrides: [{cidr: 10.0.0.0/8, place: aws/us-east-1}, {cidr: 10.1.0.0/16, place: aws/us-east-2}]}\n" +
		"route: {pin: [{cidr: 10.2.0.0/16, to: [b]}]}\n" +
		"names: [{hosts: [a.example], role: direct, candidates: [b]}, {hosts: [b.example], role: direct, candidates: [b, a]}, {hosts: [c.example]}]\n"
	c, err := Parse("f", []byte("version: 1\n"+upstream+stores+rest))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.Error())
	}
	want := []string{
		"f:1:1: location: location is not set: for clients that the server cannot locate it ranks by price only",
		"f:4:1: stores: no store names oracle: their clients go to the upstreams, since no store serves the internet",
		"f:4:55: stores[0].url: the host is in aws/eu-west-1, the place is aws/us-east-1",
		"f:4:55: stores[0].url: this S3 host has no IPv6 address",
		"f:5:55: stores[1].url: the host is in aws/eu-west-1, the place is aws/us-east-1",
		"f:5:55: stores[1].url: the URL is that of a: both fail together",
		"f:6:3: stores[2]: no price is known for this CDN: it counts as free",
		"f:6:33: stores[2].serves[0]: no feed and no override says which clients are in gcp",
		"f:8:23: limits.idleTimeout: google-lb reuses connections for longer: some requests will fail with 502",
		"f:9:9: ranges: neither cache nor seed is set: after a restart without network the server knows the place of no client",
		"f:9:117: ranges.overrides[1].cidr: 10.1.0.0/16 overlaps ranges.overrides[0], 10.0.0.0/8: the longer prefix wins",
		"f:10:39: route.pin[0].to: none of these takes traffic: the pinned clients go to the canonical upstream",
		"f:11:56: names[0].candidates: none of these takes traffic: requests for this name go to the canonical upstream",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestIdleTimeout guards that idle connections of a client could use up maxConnections for eleven minutes where nothing
// stands in front.
func TestIdleTimeout(t *testing.T) {
	for behind, want := range map[string]time.Duration{
		"":                           75 * time.Second,
		"client: {whoami: true}\n":   75 * time.Second,
		"client: {behind: direct}\n": 75 * time.Second,
		"client: {behind: {}}\n":     75 * time.Second,
		"client: {behind: {proxyProtocol: true, trusted: [10.0.0.0/8]}}\n": 75 * time.Second,
		"client: {behind: google-lb}\n":                                    650 * time.Second,
		"client: {behind: aws-alb}\nlimits: {drain: 1s}\n":                 650 * time.Second,
		"client: {behind: {header: X-Real-IP, single: true}}\n":            650 * time.Second,
		"client: {behind: google-lb}\nlimits: {idleTimeout: 75s}\n":        75 * time.Second,
		"client: {behind: direct}\nlimits: {idleTimeout: 650s}\n":          650 * time.Second,
	} {
		c, err := Parse("f", []byte("version: 1\n"+upstream+behind))
		if err != nil {
			t.Errorf("%s: %v", behind, err)
			continue
		}
		if got := c.Limits.IdleTimeout; got != want {
			t.Errorf("%s: %v, want %v", behind, got, want)
		}
		roundTrip(t, c)
	}
}

// Without a disk the table of inventories is in memory; and one store that lists all it may leaves room for the others.
func TestRecordLimits(t *testing.T) {
	for text, want := range map[string][2]int{
		"":                                {5_000_000, 10_000_000},
		"ranges: {cache: /var/x}\n":       {25_000_000, 50_000_000},
		"limits: {storeRecords: 7}\n":     {7, 14},
		"limits: {digests: 9}\n":          {5_000_000, 9},
		"limits: {digests: 0}\n":          {},
		"limits: {storeRecords: -1}\n":    {},
		"limits: {digests: 3000000000}\n": {},
	} {
		c, err := Parse("f", []byte("version: 1\n"+upstream+text))
		if want[0] == 0 {
			if err == nil || !strings.Contains(err.Error(), "must be between 1 and") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{c.Limits.StoreRecords, c.Limits.Digests}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		roundTrip(t, c)
	}
}

func TestWriteTimeoutOutlastsRelays(t *testing.T) {
	for text, ok := range map[string]bool{"6s": false, "10s": false, "11s": true} {
		_, err := Parse("f", []byte("version: 1\n"+upstream+"limits: {writeTimeout: "+text+"}\n"))
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "f:3:24: limits.writeTimeout: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAdminWarning(t *testing.T) {
	for addr, warned := range map[string]bool{
		":9090": true, "0.0.0.0:9090": true, "[::]:9090": true, "8.8.8.8:9090": true, "[2600::1]:9090": true, "[::ffff:8.8.8.8]:9090": true,
		"127.0.0.1:9090": false, "[::1]:9090": false, "10.1.2.3:9090": false, "[fd00::1]:9090": false, "localhost:9090": false, "": false,
	} {
		c, err := Parse("f", []byte("version: 1\n"+upstream+"admin: '"+addr+"'\n"))
		if err != nil {
			t.Error(err)
			continue
		}
		found := slices.ContainsFunc(c.Warnings, func(w *Error) bool { return w.Path == "admin" && w.Line == 3 })
		if found != warned {
			t.Errorf("%q: warned %v, want %v", addr, found, warned)
		}
	}
}

// TestTooManyCandidates guards that check called a file valid that serve refused.
func TestTooManyCandidates(t *testing.T) {
	stores := func(n int) string {
		text := "version: 1\n" + upstream + "stores:\n"
		for i := range n {
			text += fmt.Sprintf("- {name: s%d, place: aws/us-east-1, serves: [aws], url: 'https://s%d.example/{digest}', state: off}\n", i, i)
		}
		return text
	}
	if _, err := Parse("f", []byte(stores(MaxCandidates-1))); err != nil {
		t.Error(err)
	}
	_, err := Parse("f", []byte(stores(MaxCandidates+1)))
	const want = "f:259:3: stores[255]: 258 upstreams and stores are more than 256"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %.200v, want %s", err, want)
	}
}

// TestServed: stores that take no traffic name nothing; an upstream's place and the clouds that it serves count.
func TestServed(t *testing.T) {
	c, err := Parse("f", []byte("version: 1\n"+`
ranges: {seed: x, feeds: [{provider: oracle}, {provider: gcp}, {provider: aws}, {provider: vultr}, {provider: exoscale}]}
upstreams:
- {name: main, url: 'https://r.example', place: aws/us-east-1, canonical: true}
- {name: more, url: 'https://m.example', place: aws/us-east-2, serves: [vultr]}
- {name: idle, url: 'https://i.example', place: linode/us-east, serves: [digitalocean], state: off}
stores:
- {name: on, place: gcp/us-central1, serves: [gcp], url: 'https://a.example/{digest}'}
- {name: gone, place: oracle/us-ashburn-1, serves: [oracle], url: 'https://b.example/{digest}', state: off}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Served(), " "); got != "aws gcp linode vultr" {
		t.Errorf("served %q", got)
	}
	if got := strings.Join(c.Unserved(), " "); got != "exoscale oracle" {
		t.Errorf("unserved %q", got)
	}
}

// A store that is being filled will serve its clouds: there is no warning that no store names them.
func TestFillingNames(t *testing.T) {
	for state, want := range map[State]int{Filling: 0, Off: 1} {
		c, err := Parse("f", []byte(`version: 1
location: gcp/us-central1
ranges: {seed: x, feeds: [{provider: aws}, {provider: gcp}]}
upstreams: [{name: main, url: 'https://r.example', place: gcp/us-central1, canonical: true}]
stores: [{name: new, place: aws/us-east-1, serves: [aws], url: 'https://a.example/{digest}', state: `+string(state)+`}]
`))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != want {
			t.Errorf("%s: %v, want %d warnings", state, c.Warnings, want)
		}
	}
}

func TestFault(t *testing.T) {
	c, err := Parse("f", []byte("version: 1\n"+upstream+"tls: {cert: a, key: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"tls.key":       "f:3:21: tls.key: gone, 1",
		"route.latency": "f:1:1: route.latency: gone, 1", // not in the file
		"":              "f:1:1: gone, 1",
	} {
		if got := c.Fault(path, "look", "gone, %d", 1); got.Error() != want || got.Hint != "look" || got.Excerpt == "" {
			t.Errorf("%#v, want %s", got, want)
		}
	}
	if got := Default().Fault("tls", "", "gone"); !strings.Contains(got.Error(), "tls: gone") {
		t.Errorf("without a file: %v", got)
	}
}

func TestExcerpt(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		column     int
		want       string
	}{
		{"short", "a: b", 4, "    1 | a: b\n      |    ^"},
		{"tab and control", "a:\t\x1b[31mb", 4, "    1 | a: ·[31mb\n      |    ^"},
		{"windows", "a: b\r", 4, "    1 | a: b\n      |    ^"},
		{"password", "u: https://me:pw@h/", 4, "    1 | u: https://*****@h/\n      |    ^"},
		{"signature", "u: https://h/?SIG=abc&x=1", 4, "    1 | u: https://h/?SIG=***&x=1\n      |    ^"},
		{"blank", "   ", 2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource("f", []byte(tt.line))
			if diff := cmp.Diff(tt.want, s.excerpt(1, tt.column)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	long := newSource("f", []byte(strings.Repeat("x", 500)+"!"+strings.Repeat("y", 500)))
	lines := strings.Split(long.excerpt(1, 501), "\n")
	if at := strings.IndexByte(lines[1], '^'); []rune(lines[0])[at] != '!' {
		t.Errorf("the caret misses its character:\n%s\n%s", lines[0], lines[1])
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"serves", "state", "rollout", "maxRPS", "idleTimeout"}
	for word, want := range map[string]string{
		"serve": "serves", "Serves": "serves", "stat": "state", "max_rps": "maxRPS", "idle-timeout": "idleTimeout",
		"rolluot": "rollout", "zebra": "", "": "", strings.Repeat("x", 100): "",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestBillingWarnings: what the payer uses besides must count once, and for something.
func TestBillingWarnings(t *testing.T) {
	c, err := Parse("f", []byte("version: 1\nlocation: aws/us-east-1\n"+upstream+`billing:
  accounts:
    a: {stores: [main], payer: org, otherUsageTB: 5, otherUsageAt: {us-esat-1: 3, us-mx-ca: 4, us-east-1: 5}}
    b: {payer: org, otherUsageTB: 5, otherStorageTB: 1}
    c: {payer: a, otherUsageTB: 7}
    org: {otherUsageTB: 0}
  fronts: [{provider: aws, account: b}, {provider: aws, account: c}, {provider: aws, account: org}]
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		if strings.HasPrefix(w.Path, "billing") {
			got = append(got, w.Error())
		}
	}
	want := []string{
		"f:6:80: billing.accounts.a.otherUsageAt.us-esat-1: no price list has the region or area us-esat-1: the amount counts for nothing",
		"f:7:35: billing.accounts.b.otherUsageTB: the account a has otherUsageTB of the payer org, too: the two are added",
		"f:8:16: billing.accounts.c.payer: a is an account that org pays for: their usage does not add up",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, amount := range []string{"1e300", "1000000001"} {
		for _, where := range []string{"accounts: {a: {stores: [main], otherUsageTB: %s}}", "fixed: [{name: x, usd: %s}]", "fronts: [{provider: aws, instances: %s}]"} {
			_, err := Parse("f", []byte("version: 1\n"+upstream+"billing: {"+fmt.Sprintf(where, amount)+"}\n"))
			if err == nil || !strings.Contains(err.Error(), "f:3:") || !strings.Contains(err.Error(), "the amount is larger than 1000000000") {
				t.Errorf("%s in %s: %v", amount, where, err)
			}
		}
	}
}

func TestRule(t *testing.T) {
	for _, tt := range []struct{ behind, header string }{
		{"direct", ""},
		{"{}", ""},
		{"google-lb", "X-Forwarded-For"},
		{"{preset: cloudflare, trusted: [192.0.2.0/24]}", "CF-Connecting-IP"},
		{"{header: X-Real-IP, single: true}", "X-Real-IP"},
		{"{preset: google-lb, header: X-Client}", "X-Client"},
	} {
		c, err := Parse("f", []byte("version: 1\nclient: {behind: "+tt.behind+"}\n"+upstream))
		if err != nil {
			t.Error(err)
			continue
		}
		r := c.Client.Rule()
		if r.Header != tt.header {
			t.Errorf("%s: header %q, want %q", tt.behind, r.Header, tt.header)
		}
		if tt.header == "X-Client" && r.Entry != 0 {
			t.Errorf("another header kept the preset's entry %d", r.Entry)
		}
		roundTrip(t, c)
	}
}

func TestMapWithoutFile(t *testing.T) {
	lat, lon := 52.5, 13.4
	c := Default()
	c.Places = map[place.Place]Site{{Cloud: "onprem", Region: "berlin"}: {Lat: &lat, Lon: &lon, Country: "DE"}}
	if !c.Map().HasCloud("onprem") {
		t.Error("the place is not on the map")
	}
}

func TestRepositoryPattern(t *testing.T) {
	for pattern, names := range map[string][2]string{ // one that matches, and one that does not
		"team/*": {"team/app", "team/app/debug"}, "/team/.+/": {"team/app/debug", "my/team/app"}, "pause": {"pause", "pause2"},
	} {
		match, err := RepositoryPattern(pattern)
		if err != nil || !match(names[0]) || match(names[1]) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	for _, bad := range []string{"", "[a", "/(/", "**", "team/**"} { // ** would match one segment only, which nobody means
		if _, err := RepositoryPattern(bad); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}
