package show

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ociproxy/internal/probe"
	"ociproxy/internal/probe/against"
)

func compared() *against.Report {
	r := &against.Report{
		Here: "sandbox.example", There: "registry.example", Repositories: 2, Tags: 1200, Compared: 40, Manifests: 3, Blobs: 9,
		Counts: map[against.Kind]int64{against.TagHere: 1, against.Digest: 1}, Cost: probe.Cost{Requests: 99, Bytes: 2048, Seconds: 3},
		Limits: probe.Cost{Requests: 100, Bytes: 1 << 20, Seconds: 600},
		Differences: []against.Difference{
			{Kind: against.TagHere, Repository: "app", Reference: "v9"},
			{Kind: against.Digest, Repository: "app", Reference: "v1", Here: "sha256:aa|\x1b[31m", There: "sha256:bb"},
		},
	}
	return r
}

func TestAgainst(t *testing.T) {
	text := func(r *against.Report) string {
		var b bytes.Buffer
		if err := Against(&b, r); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	comment := func(r *against.Report) string {
		var b bytes.Buffer
		if err := AgainstMarkdown(&b, r); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	r := compared()
	for _, want := range []string{
		"sandbox.example against registry.example: 2 repositories, 1,200 tags (40 followed), 3 manifests, 9 blobs\n",
		"\ntag-only-here  1\n", "\ntag-only-here  app:v9\n", "\n2 differences.\n",
	} {
		if !strings.Contains(text(r), want) {
			t.Errorf("text lacks %q:\n%s", want, text(r))
		}
	}
	if got := comment(r); !strings.Contains(got, "\n| `digest` | app:v1 | sha256:aa\\| \\[31m | sha256:bb |\n") || strings.Contains(got, "\x1b") {
		t.Errorf("markdown:\n%s", got)
	}
	// Many are counted. What could not be compared is named.
	r.Counts[against.Digest] = 1000
	for i := range 998 {
		r.Differences = append(r.Differences, against.Difference{Kind: against.Digest, Repository: "app", Reference: fmt.Sprint("x", i)})
	}
	r.Failures, r.Failed, r.Cut = []against.Failure{{Repository: "lib", Reference: "tags", Error: "502 for the list"}}, 5, true
	for _, want := range []string{
		"\nand 901 more differences; --output json has the first 1,000.\n", "\nnot compared: lib tags: 502 for the list\n", "\nand 4 other failures\n",
		"\nThe bounds of the run were reached (100 requests, 1.0 MiB, 10m0s): the rest was not compared.\n", "\n1,001 differences.\n",
	} {
		if !strings.Contains(text(r), want) {
			t.Errorf("text lacks %q:\n%.600s", want, text(r))
		}
	}
	for want, r := range map[string]*against.Report{
		"No difference.\n": {Compared: 1}, "Nothing could be compared.\n": {Failed: 1}, "No difference in what could be compared.\n": {Compared: 1, Cut: true},
	} {
		if got := text(r); !strings.HasSuffix(got, "\n"+want) {
			t.Errorf("want %q at the end:\n%s", want, got)
		}
	}
}
