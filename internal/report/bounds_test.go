package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/traffic"
)

// TestManyRepositories: names that strangers made up take no more memory than the bound, and no byte is lost. Large
// repositories keep their figures.
func TestManyRepositories(t *testing.T) {
	var rows []traffic.Row
	const kept, made = 1000, 2007
	for i := range made {
		rows = append(rows, row(t, "2026-10-03", "aws/us-east-1", "main", "absent", fmt.Sprintf("a/%06d", i), traffic.FromProxy, 1, 1000))
		if i%10 == 0 {
			rows = append(rows, row(t, "2026-10-03", "aws/us-east-1", "main", "absent", "team/app", traffic.FromProxy, 1, 1e6))
		}
	}
	in := input(t, "2026-10-01", "2026-11-01", rows)
	in.Repositories = kept
	r, err := Make(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var bytes, usd float64
	for _, x := range r.Repositories {
		bytes += x.Bytes
		usd += x.USD
	}
	const want = float64(made*1000 + 201*1000000)
	if bytes != want || r.Known.Bytes != want || len(r.Repositories) > kept {
		t.Errorf("%d repositories have %g bytes; want at most %d with %g", len(r.Repositories), bytes, kept, want)
	}
	if d := usd - r.Stores[0].USD; d > 1e-6 || d < -1e-6 {
		t.Errorf("repositories cost $%g, their store $%g", usd, r.Stores[0].USD)
	}
	if i := slices.IndexFunc(r.Repositories, func(x Total) bool { return x.Name == "team/app" }); i < 0 || r.Repositories[i].Bytes != 201e6 {
		t.Errorf("team/app is row %d of %d", i, len(r.Repositories))
	}
	if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "more than 1,000 repositories") }) {
		t.Errorf("no warning among %q", r.Warnings)
	}
}

// TestManyBlobs: blobs of many roll-ups take no more memory than the bound, and no byte is lost. Large blobs keep their figures.
func TestManyBlobs(t *testing.T) {
	const kept, made, roll = 1000, 900, 5
	in := input(t, "2026-10-01", "2026-11-01", []traffic.Row{row(t, "2026-10-03", "aws/us-east-1", "main", "absent", "", traffic.FromProxy, 1, 1)})
	in.Blobs = kept
	var most int
	in.Objects = func(yield func(*traffic.Object, error) bool) {
		for file := range roll {
			for i := range made {
				if !yield(&traffic.Object{Month: date(t, "2026-10-01"), Digest: fmt.Sprintf("sha256:%d-%d", file, i), Requests: 1, Bytes: 1000}, nil) {
					return
				}
			}
			for _, digest := range []string{"", "sha256:large"} {
				if !yield(&traffic.Object{Month: date(t, "2026-10-01"), Digest: digest, Requests: 2, Bytes: 1e6}, nil) {
					return
				}
			}
		}
	}
	w := newWorld(in)
	s := newSums(w, nil, nil)
	if err := s.objects(func(yield func(*traffic.Object, error) bool) {
		for o, err := range in.Objects {
			if !yield(o, err) {
				return
			}
			most = max(most, len(s.digests))
		}
	}); err != nil {
		t.Fatal(err)
	}
	var all Object
	for _, o := range s.digests {
		all.Requests += o.Requests
		all.Bytes += o.Bytes
	}
	if want := (Object{Requests: roll * (made + 4), Bytes: roll * (made*1000 + 2e6)}); all != want || most > kept {
		t.Errorf("at most %d blobs, and in the end %+v; want at most %d and %+v", most, all, kept, want)
	}
	if large := s.digests["sha256:large"]; large == nil || large.Bytes != roll*1e6 {
		t.Errorf("the large blob is %+v", large)
	}
	r, err := Make(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "more than 1,000 blobs") }) {
		t.Errorf("no warning among %q", r.Warnings)
	}
}

// TestLogTwice: a log with more requests than the proxy sent to the store is told, since its lines may count twice.
func TestLogTwice(t *testing.T) {
	for doubled, want := range map[float64]bool{1000: false, 1030: true, 2000: true} {
		r, err := Make(t.Context(), input(t, "2026-10-01", "2026-11-01", []traffic.Row{
			row(t, "2026-10-03", "aws/us-east-1", "s3-use1", "nearest", "", traffic.FromPrometheus, 1000, 1e12),
			row(t, "2026-10-03", "aws/us-east-1", "s3-use1", "", "", traffic.FromStore, doubled, 1e9*doubled),
		}))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "or lines count twice") }); got != want {
			t.Errorf("%g lines for 1000 requests: %q", doubled, r.Warnings)
		}
	}
}
