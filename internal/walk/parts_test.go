package walk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// names says of blobs which they are, by names.
func names(blobs []Blob, known map[string]ocispec.Descriptor) (out []string) {
	for _, b := range blobs {
		name := b.Digest.String()
		for n, d := range known {
			if string(d.Digest) == name && d.Size == b.Size {
				name = n
			}
		}
		out = append(out, name)
	}
	return out
}

func TestPartsOf(t *testing.T) {
	w := newWorld(t)
	known := map[string]ocispec.Descriptor{
		"a": w.image("app", "a", "base", "one"), "b": w.image("app", "b", "base", "two"),
		"base": w.blob("app", "base"), "one": w.blob("app", "one"), "two": w.blob("app", "two"),
		"config a": w.blob("app", `{"of":["base" "one"]}`), "config b": w.blob("app", `{"of":["base" "two"]}`),
		"cache": w.blob("app", "cache"),
	}
	known["all"] = w.index("app", "all", known["a"], known["cache"], known["b"], known["a"])
	src, err := NewSource(w.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got, err := PartsOf(t.Context(), src.Registry, "app", digest(t, string(known["all"].Digest)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"all", "a", "b"}, names(got.Manifests, known)); diff != "" {
		t.Errorf("manifests (-want +got)\n%s", diff)
	}
	want := []string{"config a", "base", "one", "cache", "config b", "two"}
	if diff := cmp.Diff(want, names(got.Blobs, known)); diff != "" {
		t.Errorf("blobs (-want +got)\n%s", diff)
	}
}
