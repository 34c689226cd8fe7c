package endpoints

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

// The order of the config does not matter, and what several candidates share is listed once, for the longest time.
func TestNew(t *testing.T) {
	both, v4 := []string{"ipv4", "ipv6"}, []string{"ipv4"}
	all := []Endpoint{
		{Host: "*.blobs.example.org", Port: 443, Kind: Wildcard},
		{Host: "b.example.org", Port: 443, Kind: Store, Families: v4, Provider: "aws", Region: "us-east-1", Since: day("2026-12-10"), Until: day("2027-01-01")},
		{Host: "b.example.org", Port: 443, Kind: Store, Families: both, Provider: "aws", Region: "us-east-2", Since: day("2026-12-01"), Until: day("2027-02-01")},
		{Host: "b.example.org", Port: 443, Kind: Redirect, Since: day("2026-12-01")},
		{Host: "b.example.org", Port: 443, Kind: Redirect, Families: v4, Insecure: true},
		{Host: "a.example.org", Port: 8443, Kind: Store},
		{Host: "a.example.org", Port: 443, Kind: Store, Bucket: "arn:aws:s3:::two", Objects: "x/"},
		{Host: "a.example.org", Port: 443, Kind: Store, Bucket: "arn:aws:s3:::one", Objects: "x/"},
		{Host: "r.example.org", Port: 443, Kind: Registry},
		{Host: "u.example.org", Port: 443, Kind: Upstream},
	}
	want := []Endpoint{
		{Host: "r.example.org", Port: 443, Kind: Registry},
		{Host: "u.example.org", Port: 443, Kind: Upstream},
		{Host: "a.example.org", Port: 443, Kind: Store, Bucket: "arn:aws:s3:::one", Objects: "x/"},
		{Host: "a.example.org", Port: 443, Kind: Store, Bucket: "arn:aws:s3:::two", Objects: "x/"},
		{Host: "a.example.org", Port: 8443, Kind: Store},
		{Host: "b.example.org", Port: 443, Kind: Store, Families: both, Provider: "aws", Since: day("2026-12-01"), Until: day("2027-02-01")},
		{Host: "b.example.org", Port: 443, Kind: Redirect, Insecure: true},
		{Host: "*.blobs.example.org", Port: 443, Kind: Wildcard},
	}
	one := New(all, 24*time.Hour)
	if diff := cmp.Diff(want, one.Endpoints); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for i := range all {
		other := New(append(append([]Endpoint{}, all[i:]...), all[:i]...), 24*time.Hour)
		if !bytes.Equal(one.Text(), other.Text()) {
			t.Errorf("another order gives another list:\n%s", other.Text())
		}
	}
	if again, err := Parse(one.Text()); err != nil || cmp.Diff(one, again) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(one, again))
	}
	if two := New(all, 48*time.Hour); two.Version == one.Version {
		t.Error("another notice has the same version")
	}
	if two := New(all[1:], 24*time.Hour); two.Version == one.Version {
		t.Error("other hosts have the same version")
	}
}

// The format is an interface: users have programs that read it.
func TestGolden(t *testing.T) {
	l := New([]Endpoint{
		{Host: "registry.example.org", Port: 443, Kind: Registry},
		{Host: "layers-x.s3.dualstack.us-east-1.amazonaws.com", Port: 443, Kind: Store, Families: []string{"ipv4", "ipv6"}, Provider: "aws", Region: "us-east-1",
			Bucket: "arn:aws:s3:::layers-x", Objects: "containers/images/", Since: day("2026-12-10"), Until: day("2027-01-31").Add(9 * time.Hour)},
		{Host: "127.0.0.1", Port: 8080, Kind: Upstream, Insecure: true},
	}, 14*24*time.Hour)
	if *update {
		if err := os.WriteFile("testdata/list.json", l.Text(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/list.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(l.Text())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		pattern, host string
		want          bool
	}{
		{"a.example.org", "a.example.org", true},
		{"a.example.org", "b.a.example.org", false},
		{"*.example.org", "a.example.org", true},
		{"*.example.org", "example.org", false},
		{"*.example.org", ".example.org", false},
		{"*.example.org", "b.a.example.org", false},
		{"*.example.org", "a.example.com", false},
		{"*.example.org", "*.example.org", true},
		{"*.a.example.org", "*.example.org", false},
		{"*.example.org", "*.a.example.org", false},
	} {
		if got := Covers(tt.pattern, tt.host); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.pattern, tt.host, got)
		}
	}
}

func TestFind(t *testing.T) {
	l := New([]Endpoint{
		{Host: "*.example.org", Port: 443, Kind: Wildcard}, {Host: "a.example.org", Port: 443, Kind: Store}, {Host: "a.example.org", Port: 8443, Kind: Store},
	}, 0)
	for at, want := range map[string]int{"a.example.org 443": 2, "A.example.org 443": 2, "a.example.org 8443": 1, "b.example.org 443": 1, "b.example.org 80": 0, "a.b.example.org 443": 0} {
		host, digits, _ := strings.Cut(at, " ")
		var port uint16
		fmt.Sscan(digits, &port)
		if got := l.Find(host, port); len(got) != want {
			t.Errorf("%s: %v", at, got)
		}
	}
}

const entry = `{"host": "a.example.org", "port": 443, "kind": "store"}`

func TestParse(t *testing.T) {
	list := func(entry string) string {
		return `{"format": 1, "version": "x", "endpoints": [` + entry + `]}`
	}
	with := func(more string) string { return list(strings.TrimSuffix(entry, "}") + ", " + more + "}") }
	for text, want := range map[string]string{
		list(""):    "",
		list(entry): "",
		list(`{"host": "*.example.org", "port": 443, "kind": "future", "news": [1]}`):                                          "",
		list(`{"host": "2001:db8::1", "port": 1, "kind": "store"}`):                                                            "",
		with(`"since": "2026-12-10T01:00:00+01:00", "families": ["ipv6"], "bucket": "arn:aws-cn:s3:::a-b", "objects": "c/i/"`): "",
		``:   "not JSON",
		`[]`: "JSON array",
		`{}`: "this is another document",
		`{"format": 2, "version": "x", "endpoints": []}`:                                        "newer format: 2",
		`{"format": 1, "endpoints": []}`:                                                        "it has no version",
		`{"format": 1, "version": "x"}`:                                                         "this is another document",
		`{"format": 1, "version": "x\ny", "endpoints": []}`:                                     "it has no version",
		`{"format": 1, "version": "x", "noticeSeconds": -1, "endpoints": []}`:                   "noticeSeconds -1",
		`{"format": 1, "version": "x", "Version": "y", "endpoints": []}`:                        "ambiguous key",
		list(`{"host": "a.example.org", "HOST": "evil.example", "port": 443, "kind": "store"}`): "ambiguous key",
		list(`{"host": "", "port": 443, "kind": "store"}`):                                      `host ""`,
		list(`{"host": "a b", "port": 443, "kind": "store"}`):                                   `host "a b": not a host name`,
		list(`{"host": "a.example.org\u001b[2J", "port": 443, "kind": "s"}`):                    `not a host name`,
		list(`{"host": "A.example.org", "port": 443, "kind": "store"}`):                         `not a host name`,
		list(`{"host": "fe80::1%eth0", "port": 443, "kind": "store"}`):                          `not a host name`,
		list(`{"host": "*.org", "port": 443, "kind": "wildcard"}`):                              `not a pattern`,
		list(`{"host": "*.192.0.2.1", "port": 443, "kind": "wildcard"}`):                        `not a pattern`,
		list(`{"host": "a.*.org", "port": 443, "kind": "wildcard"}`):                            `not a host name`,
		list(`{"host": "a.example.org", "port": 443, "kind": "wildcard"}`):                      `a wildcard without a star`,
		list(`{"host": "a.example.org", "kind": "store"}`):                                      `no port`,
		list(`{"host": "a.example.org", "port": 65536, "kind": "store"}`):                       `out of range`,
		list(`{"host": "a.example.org", "port": 443}`):                                          `kind ""`,
		with(`"bucket": "arn:aws:s3:::*"`):                                                      `bucket "arn:aws:s3:::*"`,
		with(`"bucket": "arn:aws:s3:::a\", \"arn:aws:s3:::b"`):                                  `not the ARN of a bucket`,
		with(`"bucket": "arn:aws:s3:::aaa", "objects": "*"`):                                    `objects "*"`,
		with(`"provider": "a\nb"`):                                                              `not a provider or region`,
		with(`"families": ["ipv5"]`):                                                            `families`,
		with(`"families": ["ipv4","ipv4","ipv4"]`):                                              `families`,
		with(`"since": "tomorrow"`):                                                             `tomorrow`,
		list(strings.Repeat(entry+",", MaxEndpoints) + entry):                                   "10001 endpoints are more than 10000",
		list(entry) + strings.Repeat(" ", MaxBytes):                                             "more JSON than is accepted",
	} {
		l, err := Parse([]byte(text))
		switch {
		case want == "" && err != nil:
			t.Errorf("%.100s: %v", text, err)
		case want == "" && l.Format != 1:
			t.Errorf("%.100s: %+v", text, l)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.100s: %v, want %s", text, err, want)
		}
	}
	if _, err := Parse([]byte(`{"format": 2, "version": "x", "endpoints": []}`)); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

func TestEnvelope(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"payload": "e30=", "payloadType": "x", "signatures": [{"keyid": "", "sig": "eA=="}]}`: true,
		`{"payload": "e30=", "payloadType": "x", "signatures": [{"sig": "eA=="}], "more": 1}`:   true,
		`{"payload": "e30=", "payloadType": "x", "signatures": []}`:                             false,
		`{"payload": "e30=", "payloadType": "x", "signatures": [{"keyid": "x"}]}`:               false,
		`{"payload": "e30=", "signatures": [{"sig": "eA=="}]}`:                                  false,
		`{"payloadType": "x", "signatures": [{"sig": "eA=="}]}`:                                 false,
		`{"payload": "-", "payloadType": "x", "signatures": [{"sig": "eA=="}]}`:                 false,
		`{}`: false, `[]`: false, ``: false, `{"a": 1, "a": 2}`: false, `{"a": [[[[[[[[1]]]]]]]]}`: false, `{}` + strings.Repeat(" ", MaxBytes): false,
	} {
		if err := Envelope([]byte(text)); (err == nil) != ok {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// FuzzParse: what is accepted can be written and read again, and holds nothing that could leave a line or a quotation.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile("testdata/list.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"format":1,"version":"x","endpoints":[` + entry + `]}`))
	f.Add([]byte(`{"format":1,"version":"x","noticeSeconds":1,"endpoints":[{"host":"*.a.b","port":1,"kind":"wildcard","until":"2026-12-10T01:00:00.5+01:00"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(l.Text())
		if err != nil {
			t.Fatalf("%v\n%s", err, l.Text())
		}
		if diff := cmp.Diff(l, again); diff != "" {
			t.Errorf("(-first +again)\n%s", diff)
		}
		for _, e := range l.Endpoints {
			for _, s := range []string{l.Version, e.Host, string(e.Kind), e.Provider, e.Region, e.Bucket, e.Objects} {
				if strings.ContainsAny(s, " \"'\\\n\r\t\x1b`$;") {
					t.Errorf("%q is accepted", s)
				}
			}
		}
		if changes := Diff(l, again, time.Unix(0, 0)); len(changes) > 0 {
			t.Errorf("a list differs from itself: %+v", changes)
		}
	})
}
