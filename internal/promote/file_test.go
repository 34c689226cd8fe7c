package promote

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

var byText = cmp.Comparer(func(a, b oci.Digest) bool { return a == b })

func TestFile(t *testing.T) {
	want := []*Promotion{
		{Project: "p", Image: "one", Digest: dig("a"), From: "st.io/a/one", To: []Target{
			{Destination: "eu.io/p", Repository: "eu.io/p/one", Copy: true, Tags: []Tag{{Name: "v1"}, {Name: "v2", Was: dig("b")}, {Name: strings.Replace(dig("a").String(), ":", "-", 1) + ".sig", Was: dig("c"), Merge: true}}},
			{Destination: "us.io/p", Repository: "us.io/p/one"},
		}},
		{Image: "two", Digest: dig("b"), From: "[::1]:5000/two", To: []Target{{Destination: "eu.io", Repository: "eu.io/two", Copy: true}}},
	}
	header := Header{Version: FileVersion, Made: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Manifests: "dir", Hash: "x"}
	sum := &Summary{Edges: 9, Planned: 4, Failures: []*Failure{{Class: TagMoved, Image: "one", Repository: "eu.io/p/one", Found: dig("c")}}, By: map[string]*Destination{"eu.io/p": {Images: 1}}}
	for n := range len(want) + 1 {
		var b bytes.Buffer
		w := NewWriter(&b, header)
		for _, p := range want[:n] {
			if err := w.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(sum); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		var got []*Promotion
		for p, err := range r.All() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p)
		}
		if diff := cmp.Diff(want[:n], got, byText); diff != "" && n > 0 {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(sum, r.Summary, byText); diff != "" {
			t.Errorf("summary (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(header, r.Header); diff != "" {
			t.Errorf("header (-want +got)\n%s", diff)
		}
		// A file that is cut anywhere is not a plan.
		for cut := range len(strings.TrimRight(b.String(), "\n")) {
			if err := readAll(b.String()[:cut]); err == nil {
				t.Fatalf("a file cut at byte %d of %d was taken for whole", cut, b.Len())
			}
		}
	}
}

func readAll(text string) error {
	r, err := NewReader(strings.NewReader(text))
	if err != nil {
		return err
	}
	for _, err := range r.All() {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestFileRefuses(t *testing.T) {
	const head = `{"header": {"version": 1}, "promotions": [`
	const tail = `], "summary": {}}`
	d := dig("a").String()
	for _, text := range []string{
		``, `[]`, `{"promotions": []}`, head + `{}` + tail,
		head + `{"digest": "` + d + `", "from": "a.io/x", "to": []}` + tail,
		head + `{"digest": "` + d + `", "from": "a.io/../x", "to": [{"repository": "a.io/y"}]}` + tail,
		head + `{"digest": "` + d + `", "from": "a.io/x", "to": [{"repository": "evil/y"}]}` + tail,
		head + `{"digest": "` + d + `", "from": "a.io/x", "to": [{"repository": "b.io/y", "tags": [{"name": "../z"}]}]}` + tail,
		head + `{"digest": "` + d + `", "from": "a.io/x", "to": [{"repository": "b.io/y", "tags": [{"name": "v1", "merge": true}]}]}` + tail,
		head + `{"digest": "sha256:ab", "from": "a.io/x", "to": [{"repository": "b.io/y"}]}` + tail,
	} {
		if err := readAll(text); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
	if err := readAll(head + tail); err != nil {
		t.Error(err)
	}
	if err := readAll(`{"header": {"version": 2}, "promotions": []}`); !errors.Is(err, ErrNewerPlan) {
		t.Errorf("got %v", err)
	}
}
