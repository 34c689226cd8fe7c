package registrytest

import (
	"encoding/json"
	"fmt"
	"strings"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layer is the media type of blobs that [Registry.Blob] pushes.
const Layer = "application/vnd.oci.image.layer.v1.tar"

// Describe describes content. A test may pass values that are not true.
func Describe(mediaType, of string, size int) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(of), Size: int64(size)}
}

// Blob pushes a blob and describes it as a layer.
func (r *Registry) Blob(repo, text string) ocispec.Descriptor {
	return r.BlobAs(repo, text, Sum([]byte(text)))
}

// BlobAs pushes a blob under any digest, right or wrong.
func (r *Registry) BlobAs(repo, text, of string) ocispec.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.make(repo).blobs[of] = []byte(text)
	return Describe(Layer, of, len(text))
}

// Put marshals a manifest and pushes it under its digest and, unless tag is "", under a tag. It panics when JSON cannot
// express m.
func (r *Registry) Put(repo, tag string, m any) ocispec.Descriptor {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return r.PutRaw(repo, tag, raw)
}

// PutRaw pushes the bytes of a manifest, valid or not.
func (r *Registry) PutRaw(repo, tag string, raw []byte) ocispec.Descriptor {
	var head struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(raw, &head) // a test may want a broken manifest
	r.mu.Lock()
	defer r.mu.Unlock()
	d := Sum(raw)
	to := r.make(repo)
	to.manifests[d] = manifest{head.MediaType, raw, r.now()}
	if tag != "" {
		to.tags[tag] = d
	}
	return Describe(head.MediaType, d, len(raw))
}

// Image pushes an image whose layers have the given texts. Its config names the texts.
func (r *Registry) Image(repo, tag string, texts ...string) ocispec.Descriptor {
	return r.Put(repo, tag, r.ImageManifest(repo, texts...))
}

// Artifact pushes an image whose subject is another manifest.
func (r *Registry) Artifact(repo, tag string, about ocispec.Descriptor, texts ...string) ocispec.Descriptor {
	m := r.ImageManifest(repo, texts...)
	m.Subject = &about
	return r.Put(repo, tag, m)
}

// ImageManifest pushes the blobs of an image and returns its manifest, which it does not push.
func (r *Registry) ImageManifest(repo string, texts ...string) ocispec.Manifest {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: r.Blob(repo, Config(texts...))}
	m.SchemaVersion = 2
	m.Config.MediaType = ocispec.MediaTypeImageConfig
	for _, text := range texts {
		m.Layers = append(m.Layers, r.Blob(repo, text))
	}
	return m
}

// Config returns the config of an image whose layers have the given texts.
func Config(texts ...string) string { return fmt.Sprintf(`{"of":%q}`, texts) }

// Index pushes an index.
func (r *Registry) Index(repo, tag string, children ...ocispec.Descriptor) ocispec.Descriptor {
	m := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
	m.SchemaVersion = 2
	return r.Put(repo, tag, m)
}

// Remove deletes a tag, a manifest or a blob. The tags of a deleted manifest are deleted too.
func (r *Registry) Remove(repo, ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.make(repo)
	if !strings.Contains(ref, ":") {
		delete(from.tags, ref)
		return
	}
	delete(from.manifests, ref)
	delete(from.blobs, ref)
	for tag, d := range from.tags {
		if d == ref {
			delete(from.tags, tag)
		}
	}
}
