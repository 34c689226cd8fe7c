package promote

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
	"ociproxy/internal/walk"
)

// A plan costs what is not there yet: each blob once per host, where it is mounted from then on, and once per store.
func TestScale(t *testing.T) {
	const mib = 1 << 20
	images := map[oci.Digest]*walk.Parts{
		dig("a"): {Manifests: []walk.Blob{{Digest: dig("a"), Size: 100}, {Digest: dig("b"), Size: 50}},
			Blobs: []walk.Blob{{Digest: dig("1"), Size: 40 * mib}, {Digest: dig("2"), Size: -1}}},
		dig("c"): {Manifests: []walk.Blob{{Digest: dig("c"), Size: 10}}, Blobs: []walk.Blob{{Digest: dig("1"), Size: 40 * mib}, {Digest: dig("3"), Size: 7}}},
	}
	s := NewScale(func(_ context.Context, repository string, d oci.Digest) (*walk.Parts, error) {
		if c := images[d]; c != nil && repository == "st.example/app" {
			return c, nil
		}
		return nil, registry.ErrNotFound
	}, &Stores{
		Count: 2,
		Lacking: func(d oci.Digest) []int {
			if d == dig("3") {
				return []int{1}
			}
			return []int{0, 1}
		},
		Requests: func(_ int, size int64) int64 {
			if size == 40*mib {
				return 5 // three parts and two around them
			}
			return 1
		},
	})
	to := func(destination, repository string, copies bool, tags ...string) Target {
		out := Target{Destination: destination, Repository: repository, Copy: copies}
		for _, name := range tags {
			out.Tags = append(out.Tags, Tag{Name: name})
		}
		return out
	}
	for _, p := range []*Promotion{
		{From: "st.example/app", Digest: dig("a"), To: []Target{to("eu", "eu.example/app", true, "v1", "v2"), to("us", "us.example/app", false, "v1")}},
		{From: "st.example/app", Digest: dig("c"), To: []Target{to("eu", "eu.example/other", true)}},
		{From: "st.example/app", Digest: dig("d"), To: []Target{to("eu", "eu.example/app", true, "v3")}},
	} {
		if err := s.Add(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sum := &Summary{By: map[string]*Destination{"eu": {}, "us": {}}}
	s.Enter(sum, []string{"near", "far"})
	want := &Summary{Unknown: 1, By: map[string]*Destination{
		// Two tags; of image a two uploads and two manifests; of c one mount, one upload and one manifest.
		"eu": {Weight: &Weight{Blobs: 3, Bytes: 40*mib + 7 + 160, Requests: 2*askTag + 2*askUpload + 2*askManifest + askMount + askUpload + askManifest}},
		"us": {Weight: &Weight{Requests: askTag}},
	}, Stores: map[string]*Weight{
		"near": {Blobs: 2, Bytes: 40 * mib, Requests: 5 + 1},
		"far":  {Blobs: 3, Bytes: 40*mib + 7, Requests: 5 + 1 + 1},
	}}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Images are read from the repositories that their names say.
func TestParts(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	d, err := oci.ParseDigest(string(r.Image("team/app", "v1", "layer").Digest))
	if err != nil {
		t.Fatal(err)
	}
	regs := NewRegistries(Access{})
	t.Cleanup(regs.Close)
	c, err := regs.Parts(t.Context(), r.Host+"/team/app", d)
	if err != nil || len(c.Manifests) != 1 || len(c.Blobs) != 2 || c.Blobs[1].Size != 5 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := regs.Parts(t.Context(), r.Host+"/team/lib", d); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("another repository: %v", err)
	}
	if _, err := regs.Parts(t.Context(), "no name", d); err == nil {
		t.Error("no repository, and no error")
	}
}
