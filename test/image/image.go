// Package image makes multi-arch images of random bytes and puts them into registries.
//
// It knows the OCI image layout and sizes. The same seed gives the same digests.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is an index with one image for each of linux/amd64 and linux/arm64.
type Image struct {
	Index  v1.ImageIndex
	Digest string           // of the index
	Arch   map[string]*Arch // by architecture
}

// Arch is the image of one architecture.
type Arch struct {
	Image  v1.Image
	Digest string // of the manifest
	Blobs  []Blob // layers in order, the config last
}

// Blob is a layer or a config.
type Blob struct {
	Digest string
	Size   int64
	open   func() (io.ReadCloser, error)
}

// Read returns the blob's bytes.
func (b Blob) Read(t testing.TB) []byte {
	t.Helper()
	r, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Bytes returns the size of all blobs.
func (a *Arch) Bytes() int64 {
	var sum int64
	for _, b := range a.Blobs {
		sum += b.Size
	}
	return sum
}

// New makes an image whose layers are tar files of about the given sizes. Both architectures have the same first layer.
// arm64 has that layer and one more of 10 KiB, so that big layers are made only once.
func New(t testing.TB, seed byte, sizes ...int64) *Image {
	t.Helper()
	source := rand.NewChaCha8([32]byte{seed})
	layers := make([]v1.Layer, len(sizes))
	for i, size := range sizes {
		layers[i] = layer(t, source, size)
	}
	other := []v1.Layer{layers[0], layer(t, source, 10<<10)}
	out := &Image{Arch: map[string]*Arch{}}
	out.Index = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []struct {
		name   string
		layers []v1.Layer
	}{{"amd64", layers}, {"arm64", other}} {
		img := build(t, arch.name, arch.layers)
		out.Arch[arch.name] = describe(t, img)
		out.Index = mutate.AppendManifests(out.Index, mutate.IndexAddendum{Add: img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch.name}}})
	}
	digest, err := out.Index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	out.Digest = digest.String()
	return out
}

// Push writes the image as repository:tag into the registry at addr.
func (i *Image) Push(t testing.TB, addr, repository, tag string) {
	t.Helper()
	ref, err := name.ParseReference(fmt.Sprintf("%s/%s:%s", addr, repository, tag), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, i.Index, remote.WithContext(t.Context())); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
}

// PushProgram pushes an image for this machine. It has the program, which it runs, and nothing else.
func PushProgram(t testing.TB, ref, program string) {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	img := build(t, runtime.GOARCH, []v1.Layer{file(t, "program", 0o755, content)})
	img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/program"}})
	if err != nil {
		t.Fatal(err)
	}
	to, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, img, remote.WithContext(t.Context())); err != nil {
		t.Fatalf("push %s: %v", to, err)
	}
}

// layer makes a plain tar with one file of random bytes. Random bytes do not compress, so clients lose no time trying.
func layer(t testing.TB, source *rand.ChaCha8, size int64) v1.Layer {
	t.Helper()
	content := make([]byte, size)
	_, _ = source.Read(content)
	return file(t, fmt.Sprintf("file-%x", content[:4]), 0o644, content)
}

// file makes a plain tar with one file.
func file(t testing.TB, name string, mode int64, content []byte) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	header := &tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(buf.Bytes(), types.OCIUncompressedLayer)
}

func build(t testing.TB, arch string, layers []v1.Layer) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func describe(t testing.TB, img v1.Image) *Arch {
	t.Helper()
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	arch := &Arch{Image: img, Digest: digest.String()}
	for _, d := range append(manifest.Layers, manifest.Config) {
		l, err := img.LayerByDigest(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		arch.Blobs = append(arch.Blobs, Blob{Digest: d.Digest.String(), Size: d.Size, open: l.Compressed})
	}
	return arch
}
