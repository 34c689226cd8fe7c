package test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ociproxy/test/world"
)

// Clients find referrers of an image (OCI 1.1) through the proxy from every place. The upstreams have no referrers API,
// so clients fall back to the tag sha256-…. Only canonical may be asked for that tag, because the replica has an older
// list.
func TestReferrers(t *testing.T) {
	f := newFixture(t, 9, 10<<10, 20<<10, 30<<10)
	image := f.img.Arch["amd64"]
	refer := func(upstream, artifactType string) string {
		manifest, err := image.Image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		size, err := image.Image.Size()
		if err != nil {
			t.Fatal(err)
		}
		artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(artifactType))
		referrer, ok := mutate.Subject(artifact, v1.Descriptor{MediaType: manifest.MediaType, Digest: digest, Size: size}).(v1.Image)
		if !ok {
			t.Fatal("no image")
		}
		sum, err := referrer.Digest()
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.NewDigest(upstream+"/"+world.Prefix+"/library/app@"+sum.String(), name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, referrer, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
		return sum.String()
	}
	const sbom, signature = "application/vnd.example.sbom+json", "application/vnd.example.signature+json"
	refer(f.Replica.Addr, sbom)
	want := map[string]string{refer(f.Canonical.Addr, sbom): sbom, refer(f.Canonical.Addr, signature): signature}
	for _, place := range world.Places() {
		t.Run(place, func(t *testing.T) {
			f.Hop(place).Take()
			ref, err := name.NewDigest(f.At(place)+"/library/app@"+image.Digest, name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Referrers(ref, remote.WithContext(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, d := range manifest.Manifests {
				got[d.Digest.String()] = d.ArtifactType
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("referrers (-want +got):\n%s", diff)
			}
			for _, e := range f.Hop(place).Take() {
				if strings.Contains(e.Path, "/referrers/") || strings.Contains(e.Path, "/manifests/sha256-") {
					if source, err := f.Source(e.Location); err != nil || source != world.Canonical {
						t.Errorf("%s was sent to %s, %v", e.Path, source, err)
					}
				}
			}
		})
	}
}
