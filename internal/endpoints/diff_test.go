package endpoints

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each change is found, and those that break the promise of 14 days are named.
func TestDiff(t *testing.T) {
	now := day("2026-12-01")
	store := func(host, since, until string) Endpoint {
		e := Endpoint{Host: host, Port: 443, Kind: Store}
		if since != "" {
			e.Since = day(since)
		}
		if until != "" {
			e.Until = day(until)
		}
		return e
	}
	bucket := store("s3.example.org", "", "")
	bucket.Bucket = "arn:aws:s3:::layers"
	wildcard := Endpoint{Host: "*.free.example.org", Port: 443, Kind: Wildcard}
	redirect := Endpoint{Host: "a.example.org", Port: 443, Kind: Redirect}
	v4 := store("a.example.org", "", "")
	v4.Families = []string{"ipv4"}
	for _, tt := range []struct {
		name      string
		old, next []Endpoint
		want      []string
	}{
		{"nothing", []Endpoint{v4}, []Endpoint{v4}, nil},
		{"in time", nil, []Endpoint{store("a.example.org", "2026-12-15", "")}, []string{"added a.example.org: "}},
		{"too soon", nil, []Endpoint{store("a.example.org", "2026-12-14", "")}, []string{"added a.example.org: used with less notice than 14 days"}},
		{"without a date", nil, []Endpoint{store("a.example.org", "", "")}, []string{"added a.example.org: used with less notice than 14 days: announce it with `from`"}},
		{"the host was there", []Endpoint{v4}, []Endpoint{v4, redirect}, []string{"added a.example.org: "}},
		{"a bucket at a host that was there", []Endpoint{store("s3.example.org", "", "")}, []Endpoint{store("s3.example.org", "", ""), bucket}, []string{"added s3.example.org: used with"}},
		{"below a wildcard", []Endpoint{wildcard}, []Endpoint{wildcard, store("a.free.example.org", "", "")}, []string{"added a.free.example.org: "}},
		{"a wildcard", nil, []Endpoint{wildcard}, []string{"added *.free.example.org: hosts that it covers need no announcement any more: wait 14 days"}},
		{"gone", []Endpoint{v4}, nil, []string{"removed a.example.org: removed without notice"}},
		{"cancelled before its date", []Endpoint{store("a.example.org", "2026-12-02", "")}, nil, []string{"removed a.example.org: "}},
		{"cancelled on its date", []Endpoint{store("a.example.org", "2026-12-01", "")}, nil, []string{"removed a.example.org: removed without notice"}},
		{"cancelled before its date, with an end", []Endpoint{store("a.example.org", "2026-12-02", "2026-12-05")}, nil, []string{"removed a.example.org: "}},
		{"gone before its end", []Endpoint{store("a.example.org", "", "2026-12-02")}, nil, []string{"removed a.example.org: removed before its announced end"}},
		{"gone after its end", []Endpoint{store("a.example.org", "", "2026-12-01")}, nil, []string{"removed a.example.org: "}},
		{"gone, the host stays", []Endpoint{v4, redirect}, []Endpoint{redirect}, []string{"removed a.example.org: "}},
		{"later", []Endpoint{store("a.example.org", "2026-12-20", "")}, []Endpoint{store("a.example.org", "2026-12-25", "")}, []string{"changed a.example.org since: "}},
		{"earlier, in time", []Endpoint{store("a.example.org", "2026-12-20", "")}, []Endpoint{store("a.example.org", "2026-12-15", "")}, []string{"changed a.example.org since: "}},
		{"earlier, too soon", []Endpoint{store("a.example.org", "2026-12-20", "")}, []Endpoint{store("a.example.org", "2026-12-05", "")}, []string{"changed a.example.org since: used with less"}},
		{"the date is over and was removed", []Endpoint{store("a.example.org", "2026-11-20", "")}, []Endpoint{store("a.example.org", "", "")}, []string{"changed a.example.org since: "}},
		{"the end is announced", []Endpoint{v4}, []Endpoint{func() Endpoint { e := v4; e.Until = day("2026-12-20"); return e }()}, []string{"changed a.example.org until: "}},
		{"the end is announced late", []Endpoint{v4}, []Endpoint{func() Endpoint { e := v4; e.Until = day("2026-12-03"); return e }()}, []string{"changed a.example.org until: ends with less notice"}},
		{"other families", []Endpoint{store("a.example.org", "", "")}, []Endpoint{v4}, []string{"changed a.example.org families: "}},
		{"several, in order", []Endpoint{store("b.example.org", "", "2026-11-01"), v4}, []Endpoint{v4, store("c.example.org", "2027-01-01", ""), redirect},
			[]string{"removed b.example.org: ", "added c.example.org: ", "added a.example.org: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, next := New(tt.old, 0), New(tt.next, 14*24*time.Hour)
			var got []string
			for i, c := range Diff(old, next, now) {
				line := strings.Join(append([]string{c.What, c.Endpoint.Host}, c.Keys...), " ") + ": "
				if w := c.Warning; i < len(tt.want) && len(tt.want[i]) > len(line) {
					line += w[:min(len(w), len(tt.want[i])-len(line))]
				} else {
					line += w
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, c := range Diff(old, New(tt.next, 0), now) {
				if c.Warning != "" {
					t.Errorf("a warning although nothing was promised: %s", c.Warning)
				}
			}
		})
	}
}
