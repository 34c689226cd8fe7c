package probeid

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/key"
)

var (
	ours, theirs = private(1), private(2)
	noon         = time.UnixMilli(1_764_504_000_123)
	client       = netip.MustParseAddr("203.0.113.7")
	prober       = netip.MustParsePrefix("198.51.100.0/24")
)

func private(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func newKeys(rps float64) *Keys {
	return New([]Key{{"ops", key.Public(ours)}}, rps, nil)
}

// claim and got are one request, as the prober signs it and as the server gets it.
func claim() Claim {
	return Claim{Method: "GET", Host: "registry.example.org", Path: "/v2/a/b/tags/list?n=5", Address: client, Time: noon}
}

func got() *Request {
	return &Request{Method: "GET", Host: "registry.example.org", Path: "/v2/a/b/tags/list?n=5", Network: prober, Now: noon}
}

func TestOutcomes(t *testing.T) {
	signed := func(edit func(*Claim)) []string {
		c := claim()
		edit(&c)
		return []string{Sign(ours, c)}
	}
	same := signed(func(*Claim) {})
	replace := func(old, new string) []string {
		v := strings.Replace(same[0], old, new, 1)
		if v == same[0] {
			t.Fatalf("%q is not in %q", old, v)
		}
		return []string{v}
	}
	of := strings.SplitAfter(same[0], "sig=")
	flipped := of[0] + map[bool]string{true: "B", false: "A"}[of[1][0] == 'A'] + of[1][1:]
	for what, test := range map[string]struct {
		values []string
		edit   func(*Request)
		want   Outcome
	}{
		"none":                 {nil, nil, Absent},
		"right":                {same, nil, Accepted},
		"upper case":           {signed(func(c *Claim) { c.Host = "REGISTRY.example.org." }), nil, Accepted},
		"a port of the prober": {signed(func(c *Claim) { c.Host = "registry.example.org:443" }), nil, Accepted},
		"a port of the server": {same, func(r *Request) { r.Host = "Registry.Example.org:8443" }, Accepted},
		"IPv6":                 {signed(func(c *Claim) { c.Address = netip.MustParseAddr("2001:db8::7%eth0") }), nil, Accepted},
		"mapped":               {signed(func(c *Claim) { c.Address = netip.MustParseAddr("::ffff:203.0.113.7") }), nil, Accepted},
		"60 s late":            {same, func(r *Request) { r.Now = noon.Add(Life) }, Accepted},
		"60 s early":           {same, func(r *Request) { r.Now = noon.Add(-Life) }, Accepted},

		"too late":            {same, func(r *Request) { r.Now = noon.Add(Life + time.Millisecond) }, Expired},
		"too early":           {same, func(r *Request) { r.Now = noon.Add(-Life - time.Millisecond) }, Expired},
		"another method":      {same, func(r *Request) { r.Method = "HEAD" }, Forged},
		"another host":        {same, func(r *Request) { r.Host = "registry.example.com" }, Forged},
		"another path":        {same, func(r *Request) { r.Path = "/v2/a/c/tags/list?n=5" }, Forged},
		"another query":       {same, func(r *Request) { r.Path = "/v2/a/b/tags/list?n=6" }, Forged},
		"no query":            {same, func(r *Request) { r.Path = "/v2/a/b/tags/list" }, Forged},
		"a changed client":    {replace("addr=203.0.113.7", "addr=203.0.113.8"), nil, Forged},
		"a changed time":      {replace("time=1764504000123", "time=1764504000124"), nil, Forged},
		"a changed signature": {[]string{flipped}, nil, Forged},
		"another key":         {[]string{Sign(theirs, claim())}, nil, ForeignKey},
		"another's key ID": {
			[]string{strings.Replace(Sign(theirs, claim()), key.ID(key.Public(theirs)), key.ID(key.Public(ours)), 1)}, nil, Forged,
		},

		"twice":          {append(same, same...), nil, Malformed},
		"two":            {[]string{same[0], Sign(ours, claim())}, nil, Malformed},
		"empty":          {[]string{""}, nil, Malformed},
		"text":           {[]string{"hello"}, nil, Malformed},
		"a newer one":    {replace("v1;", "v2;"), nil, Malformed},
		"another order":  {replace("addr=203.0.113.7;time=1764504000123", "time=1764504000123;addr=203.0.113.7"), nil, Malformed},
		"no client":      {replace("addr=203.0.113.7", "addr="), nil, Malformed},
		"a name":         {replace("203.0.113.7", "example.org"), nil, Malformed},
		"a zone":         {replace("203.0.113.7", "fe80::1%eth0"), nil, Malformed},
		"no time":        {replace("time=1764504000123", "time="), nil, Malformed},
		"an old time":    {replace("time=1764504000123", "time=-1"), nil, Malformed},
		"a huge time":    {replace("time=1764504000123", "time=99999999999999999999"), nil, Malformed},
		"a longer nonce": {replace("nonce=", "nonce=A"), nil, Malformed},
		"longer":         {[]string{same[0] + "A"}, nil, Malformed},
		"padding":        {[]string{same[0] + "=="}, nil, Malformed},
		"shorter":        {[]string{same[0][:len(same[0])-1]}, nil, Malformed},
		"much longer":    {[]string{same[0] + strings.Repeat("A", 1<<20)}, nil, Malformed},
	} {
		r := got()
		if test.edit != nil {
			test.edit(r)
		}
		said := newKeys(MaxRPS).Verify(test.values, r)
		if said.Outcome != test.want {
			t.Errorf("%s: %v, want %v", what, said.Outcome, test.want)
		}
		if said.Client.IsValid() != (test.want == Accepted) {
			t.Errorf("%s: %v claims %v", what, said.Outcome, said.Client)
		}
		if named := said.Key == "ops"; named != (test.want == Accepted || test.want == Forged) {
			t.Errorf("%s: %v of key %q", what, said.Outcome, said.Key)
		}
	}
}

func TestTheClaimIsTheClient(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:db8::7%eth0": "2001:db8::7",
	} {
		c := claim()
		c.Address = netip.MustParseAddr(text)
		if said := newKeys(1).Verify([]string{Sign(ours, c)}, got()); said.Client.String() != want {
			t.Errorf("%s: %v claims %v", text, said.Outcome, said.Client)
		}
	}
	for _, text := range []string{"0.0.0.0", "::", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "::ffff:240.0.0.1"} {
		c := claim()
		c.Address = netip.MustParseAddr(text)
		if said := newKeys(1).Verify([]string{Sign(ours, c)}, got()); said.Outcome != Malformed {
			t.Errorf("%s, which no client has: %v", text, said.Outcome)
		}
	}
}

func TestExpiredSaysByHowMuch(t *testing.T) {
	for _, ahead := range []time.Duration{90 * time.Second, -time.Hour, 1000 * time.Hour} {
		r := got()
		r.Now = noon.Add(-ahead)
		if said := newKeys(1).Verify([]string{Sign(ours, claim())}, r); said.Outcome != Expired || said.Ahead != ahead {
			t.Errorf("%v: %v by %v", ahead, said.Outcome, said.Ahead)
		}
	}
}

// No two requests have the same signed text, however their parts are cut.
func TestSignedTextIsUnambiguous(t *testing.T) {
	id := identity{key: "k", address: "a", time: "1", nonce: "n"}
	seen := map[string]string{}
	for _, parts := range [][3]string{
		{"GET", "host", "/path"}, {"GE", "Thost", "/path"}, {"GET", "host/", "path"}, {"GET", "", "host/path"},
		{"GET\n4:host", "", "/path"}, {"GET", "host\n5:/path", ""}, {"", "", ""}, {"GET", "host", "/path\n"},
	} {
		text := string(id.text(nil, parts[0], parts[1], parts[2]))
		if was, dup := seen[text]; dup {
			t.Errorf("%q and %s have one text", parts, was)
		}
		if seen[text] = fmt.Sprintf("%q", parts); !strings.HasPrefix(text, domain) {
			t.Errorf("%q lacks the domain", text)
		}
	}
}

func TestHostNames(t *testing.T) {
	for host, want := range map[string]string{
		"Example.ORG": "example.org", "example.org:5000": "example.org", "example.org.": "example.org", "example.org.:80": "example.org",
		"192.0.2.1:80": "192.0.2.1", "[2001:DB8::1]:80": "[2001:db8::1]", "[2001:db8::1]": "[2001:db8::1]", "2001:db8::1": "2001:db8::1",
		"": "", ":80": "", ":": "", "::": "::", "]:": "]", "a:b:c": "a:b:c",
	} {
		if got := hostName(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestSignReadsBack(t *testing.T) {
	for range 1000 {
		var id identity
		value := Sign(ours, claim())
		if !id.parse(value) || id.String() != value || len(value) > maxHeader-60 {
			t.Fatalf("%q reads back as %q", value, id.String())
		}
	}
}

func TestPathsLongerThanTheBuffer(t *testing.T) {
	c, r := claim(), got()
	c.Path += strings.Repeat("x", 5000)
	r.Path = c.Path
	if said := newKeys(1).Verify([]string{Sign(ours, c)}, r); said.Outcome != Accepted {
		t.Error(said.Outcome)
	}
}

func FuzzParse(f *testing.F) {
	c := claim()
	f.Add(Sign(ours, c))
	c.Address = netip.MustParseAddr("2001:db8::7")
	f.Add(Sign(theirs, c))
	f.Add("v1;key=;addr=;time=;nonce=;sig=")
	f.Add("v1;key=0123456789abcdef;addr=::ffff:1.2.3.4;time=1;nonce=AAAAAAAAAAAAAAAA;sig=" + strings.Repeat("A", 86))
	k := newKeys(MaxRPS)
	f.Fuzz(func(t *testing.T, value string) {
		var id identity
		if !id.parse(value) {
			if said := k.Verify([]string{value}, got()); said.Outcome != Malformed {
				t.Fatalf("%q: %v", value, said.Outcome)
			}
			return
		}
		// There is one spelling, and nothing in it is lost.
		if id.String() != value {
			t.Fatalf("%q reads back as %q", value, id.String())
		}
		if id.client.Zone() != "" || id.client.Is4In6() {
			t.Fatalf("%q claims %v", value, id.client)
		}
	})
}
