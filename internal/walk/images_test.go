package walk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An audit sees every manifest once, with the blobs of what is below it.
func TestImages(t *testing.T) {
	w := newWorld(t)
	a, b := w.image("app", "a", "base", "one"), w.image("app", "b", "base", "two")
	all := w.index("app", "all", a, b)
	w.put("app", "broken", map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "schemaVersion": 2, "config": map[string]any{"digest": "nonsense"}})
	src, err := NewSource(w.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
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
