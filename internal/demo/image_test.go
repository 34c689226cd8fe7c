package demo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestImageDigest guards the promise that the image is the same everywhere:
// users must see the digest that a tutorial shows.
func TestImageDigest(t *testing.T) {
	img := sampleImage(t)
	const want = "sha256:3d90fbf5967e5e5ede3db4a844d0255a65097c58c38586b325691d82fefec90f"
	if diff := cmp.Diff(want, img.index); diff != "" {
		t.Errorf("digest of the sample image changed (-want +got):\n%s", diff)
	}
}

// TestImage reads the image as a container runtime does: every reference
// resolves, every size is right, and layers unpack to their diff IDs.
func TestImage(t *testing.T) {
	img := sampleImage(t)
	var index indexJSON
	read(t, img.manifests, descriptor{Digest: img.index, Size: int64(len(img.manifests[img.index].data)), MediaType: typeIndex}, &index)
	var total int
	for _, d := range index.Manifests {
		var m manifestJSON
		read(t, img.manifests, d, &m)
		var c configJSON
		read(t, img.blobs, m.Config, &c)
		if d.Platform.Architecture != c.Architecture || d.Platform.OS != c.OS {
			t.Errorf("config is for %s/%s, index says %s", c.OS, c.Architecture, d.Platform)
		}
		var diffIDs []string
		for _, l := range m.Layers {
			blob := read(t, img.blobs, l, nil)
			if len(blob) < 200<<10 || len(blob) > 2<<20 {
				t.Errorf("layer has %d bytes: too small to be interesting or too big for a demo", len(blob))
			}
			diffIDs = append(diffIDs, unpack(t, blob))
			total += len(blob)
		}
		if diff := cmp.Diff(diffIDs, c.RootFS.DiffIDs); diff != "" {
			t.Errorf("%s: diff IDs (-layers +config):\n%s", d.Platform, diff)
		}
	}
	amd, arm := img.platforms["linux/amd64"], img.platforms["linux/arm64"]
	if amd.blobs["data"] != arm.blobs["data"] || amd.blobs["base"] == arm.blobs["base"] {
		t.Error("platforms should share the data layer and no other")
	}
	t.Logf("%d platforms, %d blobs, %d bytes of layers", len(index.Manifests), len(img.blobs), total)
}

func sampleImage(t *testing.T) *image {
	t.Helper()
	img, err := newImage()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// read returns the content of d, and decodes it into value unless that is nil.
func read(t *testing.T, held map[string]content, d descriptor, value any) []byte {
	t.Helper()
	c, ok := held[d.Digest]
	switch {
	case !ok:
		t.Fatalf("%s %s is not there", d.MediaType, d.Digest)
	case digestOf(c.data) != d.Digest || int64(len(c.data)) != d.Size || c.mediaType != d.MediaType:
		t.Fatalf("%s %s does not match what is there", d.MediaType, d.Digest)
	}
	if value != nil {
		if err := json.Unmarshal(c.data, value); err != nil {
			t.Fatal(err)
		}
	}
	return c.data
}

// unpack reads a layer and returns its diff ID.
func unpack(t *testing.T, blob []byte) string {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(blob))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	tr := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(names, h.Name) {
			t.Errorf("%s is in the layer twice", h.Name)
		}
		names = append(names, h.Name)
	}
	return digestOf(raw)
}
