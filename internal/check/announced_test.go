package check

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

func TestAnnounced(t *testing.T) {
	cfg, err := config.Parse("f", []byte(`version: 1
endpoints: {wildcards: ["*.free.example.org"]}
upstreams:
  - {name: main, url: "https://r.example", place: aws/us-east-1, canonical: true}
  - {name: replica, url: "https://eu.example", place: aws/eu-west-1, announce: {from: 2026-12-10}}
stores:
  - {name: plain, place: aws/us-east-1, serves: [aws], url: "https://a.example/{digest}"}
  - {name: both, place: aws/us-east-1, serves: [aws], url: "https://b.example/{digest}", announce: {from: 2026-12-10, until: 2026-12-20}}
  - {name: covered, place: aws/us-east-1, serves: [aws], url: "https://f.free.example.org/{digest}", announce: {from: 2026-12-10}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string][]string{
		"2026-12-09": {
			"both: announced for 2026-12-10: no traffic before",
			"covered: announced for 2026-12-10, and gets traffic already: published wildcards cover its hosts",
			"replica: announced for 2026-12-10: no traffic before",
		},
		"2026-12-10": {"both: gets traffic, announced until 2026-12-20"},
		"2026-12-20": {"both: announced until 2026-12-20: no new traffic since"},
	} {
		now, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range AnnouncedIn(cfg, now) {
			got = append(got, a.Name+": "+a.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", day, diff)
		}
		// A store that waits serves nobody.
		for _, s := range ServingOf(cfg.At(now)) {
			if s.Cloud == "aws" && strings.Contains(strings.Join(s.Stores, " "), "both") != (day == "2026-12-10") {
				t.Errorf("%s: aws is served by %v", day, s.Stores)
			}
		}
	}
}
