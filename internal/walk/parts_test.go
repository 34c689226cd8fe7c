package walk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
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
	w := registrytest.New(t, registrytest.Options{})
	known := map[string]ocispec.Descriptor{
		"a": w.Image("app", "a", "base", "one"), "b": w.Image("app", "b", "base", "two"),
		"base": w.Blob("app", "base"), "one": w.Blob("app", "one"), "two": w.Blob("app", "two"),
		"config a": w.Blob("app", registrytest.Config("base", "one")), "config b": w.Blob("app", registrytest.Config("base", "two")),
		"cache": w.Blob("app", "cache"),
	}
	known["all"] = w.Index("app", "all", known["a"], known["cache"], known["b"], known["a"])
	src := open(t, w)
	got, err := PartsOf(t.Context(), src.Registry, "app", of(t, known["all"]))
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

// The first manifest that cannot be read ends it, in the registry's words; so does an index in an index in an index.
func TestPartsOfBroken(t *testing.T) {
	w := registrytest.New(t, registrytest.Options{})
	src := open(t, w)
	gone := registrytest.Describe(ocispec.MediaTypeImageManifest, "sha256:"+strings.Repeat("ab", 32), 7)
	half := w.Index("app", "half", w.Image("app", "a", "one"), gone)
	_, err := PartsOf(t.Context(), src.Registry, "app", of(t, half))
	if !errors.Is(err, registry.ErrNotFound) || !strings.HasPrefix(err.Error(), "read ") || !strings.Contains(err.Error(), string(gone.Digest)) {
		t.Errorf("a child is gone: %v", err)
	}
	deep := w.Image("app", "deep", "one")
	for i := range maxDepth + 1 {
		deep = w.Index("app", fmt.Sprint("deep", i), deep)
	}
	_, err = PartsOf(t.Context(), src.Registry, "app", of(t, deep))
	if !errors.Is(err, ErrNested) || !strings.HasPrefix(err.Error(), "app@sha256:") {
		t.Errorf("%d indexes deep: %v", maxDepth+1, err)
	}
	_, err = PartsOf(t.Context(), src.Registry, "app", of(t, gone))
	if !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("nothing there: %v", err)
	}
}
