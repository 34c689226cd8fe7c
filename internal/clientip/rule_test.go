package clientip_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/clientip"
)

func TestRule(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	walk := clientip.Rule{Header: "x-forwarded-for", Trusted: trusted}
	third := clientip.Rule{Header: "X-Forwarded-For", Entry: 3, Trusted: trusted}
	single := clientip.Rule{Header: "X-Real-IP", Single: true}
	front := clientip.Rule{Header: "X-Azure-SocketIP", Single: true, RequireHeader: "x-azure-fdid", RequireValue: "55ce4ed1"}
	mapped := clientip.Rule{Header: "X-Forwarded-For", Entry: 1, Trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}

	for _, test := range []struct {
		what    string
		rule    clientip.Rule
		request request
		addr    string
		source  clientip.Source
	}{
		{"walk past trusted", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66, 203.0.113.7, 192.0.2.1, 10.2.2.2"}}, "203.0.113.7", clientip.SourceHeader},
		{"walk over lines", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 10.2.2.2"}}, "203.0.113.7", clientip.SourceHeader},
		{"walk, mapped entries", walk, request{"[::ffff:10.1.1.1]:1", []string{"X-Forwarded-For: ::ffff:203.0.113.7, ::ffff:10.2.2.2"}}, "203.0.113.7", clientip.SourceHeader},
		{"walk, v6", walk, request{"[2001:db8:ffff::1]:1", []string{"X-Forwarded-For: 2001:db8::7, [2001:db8:ffff::2]:443"}}, "2001:db8::7", clientip.SourceHeader},
		{"walk, all trusted", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: 10.3.3.3, 10.2.2.2"}}, "10.3.3.3", clientip.SourceHeader},
		{"walk meets garbage", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66, unknown, 10.2.2.2"}}, "10.1.1.1", clientip.SourceHeaderInvalid},
		{"walk meets nothing", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: "}}, "10.1.1.1", clientip.SourceHeaderMissing},
		{"walk has an end", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66" + strings.Repeat(", 10.2.2.2", 5000)}}, "10.1.1.1", clientip.SourceHeaderInvalid},
		{"walk, giant entry", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66," + strings.Repeat("1", 60000) + ",10.2.2.2"}}, "10.1.1.1", clientip.SourceHeaderInvalid},
		{"walk, giant header", walk, request{"10.1.1.1:1", []string{"X-Forwarded-For: " + strings.Repeat("198.51.100.66,", 4000) + "203.0.113.7"}}, "203.0.113.7", clientip.SourceHeader},
		{"walk, missing", walk, request{"10.1.1.1:1", nil}, "10.1.1.1", clientip.SourceHeaderMissing},

		{"third", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66, 203.0.113.7, 1.1.1.1, 2.2.2.2"}}, "203.0.113.7", clientip.SourceHeader},
		{"third over lines", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: 198.51.100.66, 203.0.113.7", "X-Forwarded-For: 1.1.1.1, 2.2.2.2"}}, "203.0.113.7", clientip.SourceHeader},
		{"third, short", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: 1.1.1.1, 2.2.2.2"}}, "10.1.1.1", clientip.SourceHeaderShort},
		{"third, empty entries are none", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: 203.0.113.7,, 10.0.0.1 , \t,10.0.0.2,"}}, "203.0.113.7", clientip.SourceHeader},
		{"third, nothing but empty entries", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: ,,", "X-Forwarded-For:", "X-Forwarded-For: ,"}}, "10.1.1.1", clientip.SourceHeaderShort},
		{"third, an empty line between", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: 203.0.113.7, 10.0.0.1", "X-Forwarded-For: ", "X-Forwarded-For: 10.0.0.2"}}, "203.0.113.7", clientip.SourceHeader},
		{"third, giant entry", third, request{"10.1.1.1:1", []string{"X-Forwarded-For: " + strings.Repeat("1", 500) + ",1.1.1.1"}}, "10.1.1.1", clientip.SourceHeaderInvalid},

		{"single", single, request{"127.0.0.1:1", []string{"X-Real-Ip: \t203.0.113.7 "}}, "203.0.113.7", clientip.SourceHeader},
		{"single, zone", single, request{"[fe80::1%eth0]:1", []string{"X-Real-Ip: 2001:db8::7%25evil"}}, "2001:db8::7", clientip.SourceHeader},
		{"single, empty", single, request{"127.0.0.1:1", []string{"X-Real-Ip: "}}, "127.0.0.1", clientip.SourceHeaderInvalid},
		{"single, trusted by default", single, request{"[fd00::1]:1", []string{"X-Real-Ip: 203.0.113.7"}}, "203.0.113.7", clientip.SourceHeader},
		{"single, untrusted", single, request{"198.51.100.1:1", []string{"X-Real-Ip: 203.0.113.7"}}, "198.51.100.1", clientip.SourcePeerUntrusted},

		{"our front", front, request{"10.1.1.1:1", []string{"X-Azure-Fdid: 55ce4ed1", "X-Azure-SocketIP: 203.0.113.7"}}, "203.0.113.7", clientip.SourceHeader},
		{"another's front", front, request{"10.1.1.1:1", []string{"X-Azure-FDID: 00000000", "X-Azure-SocketIP: 203.0.113.7"}}, "10.1.1.1", clientip.SourceFrontUnknown},
		{"no front", front, request{"10.1.1.1:1", []string{"X-Azure-SocketIP: 203.0.113.7"}}, "10.1.1.1", clientip.SourceFrontUnknown},
		{"two fronts", front, request{"10.1.1.1:1", []string{"X-Azure-FDID: 55ce4ed1", "X-Azure-FDID: 1", "X-Azure-SocketIP: 203.0.113.7"}}, "10.1.1.1", clientip.SourceFrontUnknown},

		{"trusted written as mapped", mapped, request{"10.1.1.1:1", []string{"X-Forwarded-For: 203.0.113.7"}}, "203.0.113.7", clientip.SourceHeader},
	} {
		t.Run(test.what, func(t *testing.T) {
			addr, source := extractor(t, test.rule).From(test.request.peer, test.request.header())
			if addr != netip.MustParseAddr(test.addr) || source != test.source {
				t.Errorf("got %v from %v, want %v from %v", addr, source, test.addr, test.source)
			}
		})
	}
}

func TestEntrySpellings(t *testing.T) {
	const bad = ""
	e := extractor(t, clientip.Rule{Header: "X-Forwarded-For", Entry: 1})
	for entry, want := range map[string]string{
		"203.0.113.7":                         "203.0.113.7",
		"203.0.113.7:80":                      "203.0.113.7",
		"203.0.113.7:65535":                   "203.0.113.7",
		"::ffff:203.0.113.7":                  "203.0.113.7",
		"[::ffff:203.0.113.7]:80":             "203.0.113.7",
		"2001:db8::7":                         "2001:db8::7",
		"2001:DB8::7":                         "2001:db8::7",
		"[2001:db8::7]":                       "2001:db8::7",
		"[2001:db8::7]:443":                   "2001:db8::7",
		"2001:db8::7:46532":                   "2001:db8::7",
		"2001:db8::7:443":                     "2001:db8::7:443", // a valid address without a port
		"2001:db8:0:0:0:0:0:7:443":            "2001:db8::7",
		"::2:3:4:5:6:7:8":                     "0:2:3:4:5:6:7:8",
		"fe80::7%eth0":                        "fe80::7",
		"[fe80::7%eth0]:1":                    "fe80::7",
		"203.0.113.7:65536":                   bad,
		"203.0.113.7:":                        bad,
		"203.0.113.7:+1":                      bad,
		"203.0.113.7:80:80":                   bad,
		"203.0.113.7%eth0":                    bad,
		"203.0.113.07":                        bad,
		"203.0.113":                           bad,
		"203.0.113.7.":                        bad,
		"3405803783":                          bad,
		"0xcb007107":                          bad,
		"[203.0.113.7]:80":                    bad,
		"[2001:db8::7":                        bad,
		"2001:db8::7]":                        bad,
		"[2001:db8::7]443":                    bad,
		"[2001:db8::7]:":                      bad,
		"[]":                                  bad,
		"[]:80":                               bad,
		":80":                                 bad,
		"::":                                  bad, // unspecified
		"0.0.0.0":                             bad,
		"::ffff:0.0.0.0":                      bad,
		"224.0.0.1":                           bad, // multicast
		"ff02::1":                             bad,
		"255.255.255.255":                     bad,
		"240.0.0.1":                           bad,
		"unknown":                             bad,
		"_hidden":                             bad,
		"localhost":                           bad,
		"\"203.0.113.7\"":                     bad,
		"for=203.0.113.7":                     bad,
		"203.0.113.7\x00":                     bad,
		"203.0.113.7 198.51.100.66":           bad,
		"http://203.0.113.7":                  bad,
		strings.Repeat("0", 200) + "203.0.11": bad,
	} {
		addr, source := e.From("10.0.0.1:1", request{lines: []string{"X-Forwarded-For: " + entry}}.header())
		if want == bad {
			if addr != netip.MustParseAddr("10.0.0.1") || source != clientip.SourceHeaderInvalid {
				t.Errorf("%q: %v from %v, want the peer", entry, addr, source)
			}
			continue
		}
		if addr != netip.MustParseAddr(want) || source != clientip.SourceHeader {
			t.Errorf("%q: %v from %v, want %s", entry, addr, source, want)
		}
	}
}

func TestRuleFaults(t *testing.T) {
	for _, test := range []struct {
		rule clientip.Rule
		want string // part of the error
	}{
		{clientip.Rule{Header: "X Forwarded"}, "not a header name"},
		{clientip.Rule{Header: "X-Forwarded-For\r\n"}, "not a header name"},
		{clientip.Rule{Header: "X-Forwarded-For", Entry: -1}, "entry -1"},
		{clientip.Rule{Header: "X-Forwarded-For", Entry: 17}, "entry 17"},
		{clientip.Rule{Entry: 1}, "header: missing"},
		{clientip.Rule{Single: true}, "header: missing"},
		{clientip.Rule{Header: "X-Real-IP", Single: true, Entry: 1}, "no entries to count"},
		{clientip.Rule{Header: "X-Real-IP", ProxyProtocol: true}, "excludes header"},
		{clientip.Rule{Header: "X-Real-IP", RequireHeader: "X-Azure-FDID"}, "a name and a value"},
		{clientip.Rule{Header: "X-Real-IP", RequireHeader: "a b", RequireValue: "x"}, "required header"},
		{clientip.Rule{Header: "X-Forwarded-For", Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, "trusts everybody"},
		{clientip.Rule{Trusted: []netip.Prefix{{}}}, "not a valid prefix"},
		{clientip.Rule{Header: "a b", Entry: 99}, "entry 99"}, // all faults at once
	} {
		_, err := clientip.New(test.rule)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want one with %q", test.rule, err, test.want)
		}
	}
	everybody := clientip.Rule{Header: "X-Forwarded-For", Entry: 1, Trusted: []netip.Prefix{netip.MustParsePrefix("::/0")}}
	if err := everybody.Validate(); err != nil {
		t.Errorf("counting entries needs no trust: %v", err)
	}
}

func TestSources(t *testing.T) {
	var got []string
	for _, source := range clientip.Sources() {
		got = append(got, source.String())
	}
	want := []string{
		"peer", "header", "proxy-protocol", "peer-untrusted", "front-unknown",
		"header-missing", "header-repeated", "header-short", "header-invalid", "peer-invalid",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	if got := clientip.Source(200).String(); got != "unknown" {
		t.Errorf("unknown source is %q", got)
	}
}
