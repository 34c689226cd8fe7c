package mirror

import (
	"net/http"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// TestBadReference: one image states a wrong size of a layer, and one repository does not serve the layer. Images of
// other repositories still get the layer. The mirror and the audit name the bad image, and a repair withdraws nothing
// because of it.
func TestBadReference(t *testing.T) {
	t.Parallel()
	r := registry.Start(t)
	src := source.New(r.Addr, prefix)
	base := source.NewBlob(1, 300<<10, "sha256")
	push := func(repo string, seed uint64) source.Descriptor {
		t.Helper()
		d, err := src.Image(repo, "v1", seed, false, base, source.NewBlob(seed, 20<<10, "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	push("aaa/denied", 2)
	push("good/app", 3)
	push("good/late", 4)
	layer, err := src.Push("aaa/liar", base, "application/vnd.oci.image.layer.v1.tar+gzip")
	if err != nil {
		t.Fatal(err)
	}
	config, err := src.Push("aaa/liar", source.BytesBlob([]byte("{}")), "application/vnd.oci.image.config.v1+json")
	if err != nil {
		t.Fatal(err)
	}
	layer.Size = 5
	liar, err := src.Manifest("aaa/liar", "v1", source.OCIManifest, map[string]any{
		"schemaVersion": 2, "mediaType": source.OCIManifest, "config": config, "layers": []source.Descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := gate.New(t, r.Addr)
	front.Spoil(func(r *http.Request) (gate.Fault, bool) {
		return gate.Fault{Status: http.StatusForbidden, After: -1}, strings.Contains(r.URL.Path, "aaa/denied/blobs/"+base.Digest)
	})
	w := newWorld(t, r, src, front, shop.StartS3(t, "us-east-1").Shops(t), nil)
	type report struct {
		Result   string
		Images   struct{ Seen, Complete, Known int }
		Problems []struct{ Class, Repository, Reference, Error string }
	}
	for pass := range 2 {
		ran := w.mirror(t)
		got := ctl.Decode[report](t, ran.Stdout)
		if ran.Code != 5 || got.Images.Complete != 3 || pass > 0 && got.Images.Known != 3 {
			t.Fatalf("pass %d: %v", pass, ran)
		}
		named := false
		for _, p := range got.Problems {
			named = named || p.Repository == "aaa/liar" && p.Reference == liar.Digest && strings.Contains(p.Error, base.Digest)
			if strings.HasPrefix(p.Repository, "good/") {
				t.Errorf("a good image is named: %+v", p)
			}
		}
		if !named {
			t.Errorf("pass %d does not name the image: %+v", pass, got.Problems)
		}
	}
	w.oracle(t, src.Blobs)
	for _, args := range [][]string{nil, {"--from", "head"}, {"--deep"}, {"--deep", "--repair"}} {
		found, ended := w.audit(t, args...)
		if ended.Code != 16 || len(found.Findings) > 0 || !strings.Contains(ended.Stdout, `"misstated"`) || !strings.Contains(ended.Stdout, liar.Digest) {
			t.Errorf("audit %v: %v", args, ended)
		}
	}
	w.oracle(t, src.Blobs)
}
