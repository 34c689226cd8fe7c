package promote

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// A blob counts once for each store that does not have it, with the requests that the store takes.
func TestScaleStores(t *testing.T) {
	d, err := oci.ParseDigest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if err != nil {
		t.Fatal(err)
	}
	parts := func(context.Context, string, oci.Digest) (*walk.Parts, error) {
		return &walk.Parts{Blobs: []walk.Blob{{Digest: d, Size: 100}}}, nil
	}
	s := NewScale(parts, &Stores{
		Count:    3,
		Lacking:  func(oci.Digest) []int { return []int{0, 2} },
		Requests: func(store int, size int64) int64 { return size + int64(store) },
	})
	for range 2 { // the second time it is already there
		if err := s.Add(t.Context(), &Promotion{Digest: d}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []Weight{{Blobs: 1, Bytes: 100, Requests: 100}, {}, {Blobs: 1, Bytes: 100, Requests: 102}}
	if d := cmp.Diff(want, s.Stores); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
