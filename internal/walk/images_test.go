package walk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/registry/registrytest"
)

// An audit sees every manifest once, with the blobs of what is below it.
func TestImages(t *testing.T) {
	w := registrytest.New(t, registrytest.Options{})
	a, b := w.Image("app", "a", "base", "one"), w.Image("app", "b", "base", "two")
	all := w.Index("app", "all", a, b)
	w.PutRaw("app", "broken", []byte(`{"schemaVersion":2,"config":{"digest":"nonsense"}}`))
	src := open(t, w)
	got, failed := map[string]int{}, 0
	for img, err := range src.Images(t.Context()) {
		if err != nil {
			failed++
			if img.Repository != "app" {
				t.Errorf("%+v: %v", img, err)
			}
			continue
		}
		got[img.Digest.String()] += len(img.Blobs)
	}
	if diff := cmp.Diff(map[string]int{string(a.Digest): 3, string(b.Digest): 3, string(all.Digest): 5}, got); diff != "" || failed != 1 {
		t.Errorf("%d failed; (-want +got)\n%s", failed, diff)
	}
	for range src.Images(t.Context()) {
		break // ends the walk
	}
}
