package demo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Media types of the OCI image specification, v1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// The name and tags of the sample image as clients see it.
const (
	imageName = "sample/app"
	imageTag  = "1.0"
)

// imageTags are all tags of the image, in the order in which a registry lists
// them. There are enough of them to test pagination.
var imageTags = []string{"0.9", imageTag, "latest", "stable"}

// The JSON types of the OCI image specification, as far as the sample image and
// the pull client use them.
type (
	descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Platform    *platform         `json:"platform,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	platform struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		Variant      string `json:"variant,omitempty"`
	}
	indexJSON struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []descriptor      `json:"manifests"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}
	manifestJSON struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}
	configJSON struct {
		Created      time.Time `json:"created"`
		Architecture string    `json:"architecture"`
		OS           string    `json:"os"`
		Variant      string    `json:"variant,omitempty"`
		Config       struct {
			Env        []string `json:"Env"`
			Cmd        []string `json:"Cmd"`
			WorkingDir string   `json:"WorkingDir"`
		} `json:"config"`
		RootFS struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
		History []history `json:"history"`
	}
	history struct {
		Created   time.Time `json:"created"`
		CreatedBy string    `json:"created_by"`
	}
)

func (p platform) String() string {
	if p.Variant != "" {
		return p.OS + "/" + p.Architecture + "/" + p.Variant
	}
	return p.OS + "/" + p.Architecture
}

// content is something that a registry or store holds under its digest.
type content struct {
	mediaType string
	data      []byte
}

// image is the sample image: an index of two platforms and everything below it.
// It is the same, byte for byte, in every process.
type image struct {
	index     string // its digest
	manifests map[string]content
	blobs     map[string]content
	platforms map[string]variant // by "linux/amd64"
}

// variant is the image of one platform, by digest. Layers have names so that
// the scenario can refer to "the data layer".
type variant struct {
	manifest string
	blobs    map[string]string // "config", "base", "runtime", "data", "app"
}

// layerSpec says what a layer holds. A shared layer is the same blob on every
// platform, as data in real images often is.
type layerSpec struct {
	name   string
	dir    string
	size   int // bytes of file content
	shared bool
}

var layerSpecs = []layerSpec{
	{name: "base", dir: "usr/lib/base", size: 1_600_000},
	{name: "runtime", dir: "usr/lib/runtime", size: 700_000},
	{name: "data", dir: "usr/share/data", size: 480_000, shared: true},
	{name: "app", dir: "opt/app", size: 260_000},
}

// epoch is the time of everything in the image. A fixed time keeps the digests
// fixed.
var epoch = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// newImage builds the sample image.
func newImage() (*image, error) {
	img := &image{
		manifests: make(map[string]content),
		blobs:     make(map[string]content),
		platforms: make(map[string]variant),
	}
	index := indexJSON{
		SchemaVersion: 2,
		MediaType:     typeIndex,
		Annotations:   map[string]string{"org.opencontainers.image.title": "oci-proxy demo"},
	}
	for _, p := range []platform{{"amd64", "linux", ""}, {"arm64", "linux", "v8"}} {
		d, v, err := img.addPlatform(p)
		if err != nil {
			return nil, fmt.Errorf("sample image %s: %w", p, err)
		}
		d.Platform = &p
		index.Manifests = append(index.Manifests, d)
		img.platforms[p.OS+"/"+p.Architecture] = v
	}
	d, err := img.addJSON(img.manifests, typeIndex, index)
	if err != nil {
		return nil, fmt.Errorf("sample image index: %w", err)
	}
	img.index = d.Digest
	return img, nil
}

// addPlatform builds the layers, config and manifest of one platform.
func (img *image) addPlatform(p platform) (descriptor, variant, error) {
	v := variant{blobs: make(map[string]string)}
	m := manifestJSON{SchemaVersion: 2, MediaType: typeManifest}
	c := configJSON{Created: epoch, Architecture: p.Architecture, OS: p.OS, Variant: p.Variant}
	c.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	c.Config.Cmd = []string{"/opt/app/run"}
	c.Config.WorkingDir = "/opt/app"
	c.RootFS.Type = "layers"
	for _, spec := range layerSpecs {
		arch := p.Architecture
		if spec.shared {
			arch = "any"
		}
		blob, diffID, err := buildLayer(spec, arch)
		if err != nil {
			return descriptor{}, v, fmt.Errorf("layer %s: %w", spec.name, err)
		}
		d := put(img.blobs, typeLayer, blob)
		v.blobs[spec.name] = d.Digest
		m.Layers = append(m.Layers, d)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, diffID)
		c.History = append(c.History, history{epoch, "COPY " + spec.name + " /" + spec.dir})
	}
	var err error
	if m.Config, err = img.addJSON(img.blobs, typeConfig, c); err != nil {
		return descriptor{}, v, fmt.Errorf("config: %w", err)
	}
	v.blobs["config"] = m.Config.Digest
	d, err := img.addJSON(img.manifests, typeManifest, m)
	if err != nil {
		return descriptor{}, v, fmt.Errorf("manifest: %w", err)
	}
	v.manifest = d.Digest
	return d, v, nil
}

func (img *image) addJSON(into map[string]content, mediaType string, value any) (descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	return put(into, mediaType, data), nil
}

func put(into map[string]content, mediaType string, data []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(data), Size: int64(len(data))}
	into[d.Digest] = content{mediaType, data}
	return d
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// buildLayer makes a tar+gzip layer and the digest of its tar (the diff ID).
// The gzip stream is not compressed: a compressor's output may change with the
// Go release, but the digests must not change.
func buildLayer(spec layerSpec, arch string) (blob []byte, diffID string, err error) {
	var zipped bytes.Buffer
	gz, err := gzip.NewWriterLevel(&zipped, gzip.NoCompression)
	if err != nil {
		return nil, "", err
	}
	hash := sha256.New()
	tw := tar.NewWriter(io.MultiWriter(gz, hash))
	for _, f := range layerFiles(spec, arch) {
		if err := tw.WriteHeader(f.header()); err != nil {
			return nil, "", err
		}
		if _, err := tw.Write(f.data); err != nil {
			return nil, "", err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, "", err
	}
	if err := gz.Close(); err != nil {
		return nil, "", err
	}
	return zipped.Bytes(), "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// file is an entry of a layer. It is a directory when the name ends in a slash,
// and a symbolic link when it has a target.
type file struct {
	name, link string
	mode       int64
	data       []byte
}

func (f file) header() *tar.Header {
	h := &tar.Header{Name: f.name, Linkname: f.link, Mode: f.mode, Size: int64(len(f.data)),
		ModTime: epoch, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
	switch {
	case f.link != "":
		h.Typeflag = tar.TypeSymlink
	case f.name[len(f.name)-1] == '/':
		h.Typeflag = tar.TypeDir
	}
	return h
}

// layerFiles lists the files of a layer: its directories, a readable note, a
// block of reproducible noise split into two files, and a link to the first
// one.
func layerFiles(spec layerSpec, arch string) []file {
	var files []file
	for i := range len(spec.dir) {
		if spec.dir[i] == '/' {
			files = append(files, file{name: spec.dir[:i+1], mode: 0o755})
		}
	}
	note := fmt.Sprintf("Layer %q of the oci-proxy sample image, for %s.\n", spec.name, arch)
	noise := noise(spec.name+"/"+arch, spec.size)
	half := len(noise) / 2
	return append(files,
		file{name: spec.dir + "/", mode: 0o755},
		file{name: spec.dir + "/README", mode: 0o644, data: []byte(note)},
		file{name: spec.dir + "/0.bin", mode: 0o644, data: noise[:half]},
		file{name: spec.dir + "/1.bin", mode: 0o644, data: noise[half:]},
		file{name: spec.dir + "/current", mode: 0o777, link: "0.bin"},
	)
}

// noise returns size bytes that depend only on the seed. ChaCha8 is specified
// to give the same stream in every Go release.
func noise(seed string, size int) []byte {
	out := make([]byte, size)
	// Read of a ChaCha8 never fails.
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(out)
	return out
}
