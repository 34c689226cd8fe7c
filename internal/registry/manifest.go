package registry

import (
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
)

// MaxManifest is the size of the largest manifest that is read, in bytes. Registries accept up to this size.
const MaxManifest = 4 << 20

// maxDescriptors bounds how many descriptors one manifest may have.
const maxDescriptors = 10_000

// Descriptor refers to content, as defined by image-spec.
type Descriptor struct {
	Digest       oci.Digest
	MediaType    string
	Size         int64 // bytes; -1 when unknown (the layers of schema 1)
	ArtifactType string
	Platform     string // "linux/arm/v7"; "" when none is given
	Annotations  map[string]string
	URLs         []string // other places that claim to have the content; never fetched
}

// Manifest is a manifest or an index, and what it refers to. Do not change it.
type Manifest struct {
	Descriptor        // of the manifest itself
	Raw        []byte // as the registry sent it; signed schema 1 includes the signatures, which the digest leaves out

	children, blobs, skipped []Descriptor
	subject                  *Descriptor
}

// Children returns the manifests of an index, each of them once. An index may list a blob as a manifest: see
// [Registry.Child].
func (m *Manifest) Children() []Descriptor { return m.children }

// Blobs returns the config, the layers and the blobs of every media type, each of them once and in their order.
func (m *Manifest) Blobs() []Descriptor { return m.blobs }

// Skipped returns the layers that must not be distributed. They are available elsewhere, at their URLs.
func (m *Manifest) Skipped() []Descriptor { return m.skipped }

// Subject returns the manifest to which this one belongs, or nil when it has no subject.
func (m *Manifest) Subject() *Descriptor { return m.subject }

// ParseManifest reads a manifest of any kind. mediaType is what the registry reports; the manifest's own value has
// precedence.
//
// ParseManifest finds references by the members of the known formats, not by media type: manifests; config, layers,
// blobs and fsLayers; subject. It walks an unknown kind as far as that kind uses these members.
//
// The digest of the result is the sha256 of the bytes, or of the payload for signed schema 1. Errors wrap [ErrInvalid]
// or [ErrTooLarge]. When only some entries cannot be followed, the error is a [TornError].
func ParseManifest(raw []byte, mediaType string) (*Manifest, error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxManifest)
	}
	var body struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
		Subject      *wireDescriptor   `json:"subject"`
		Manifests    []wireDescriptor  `json:"manifests"`
		Config       *wireDescriptor   `json:"config"`
		Layers       []wireDescriptor  `json:"layers"`
		Blobs        []wireDescriptor  `json:"blobs"`
		FSLayers     []struct {
			BlobSum oci.Digest `json:"blobSum"`
		} `json:"fsLayers"`
		Signatures []json.RawMessage `json:"signatures"`
	}
	if err := decode(raw, &body, manifestBounds, ErrInvalid); err != nil {
		return nil, err
	}
	if n := len(body.Manifests) + len(body.Layers) + len(body.Blobs) + len(body.FSLayers); n > maxDescriptors {
		return nil, fmt.Errorf("%w: %d descriptors, at most %d", ErrTooLarge, n, maxDescriptors)
	}
	m := &Manifest{Raw: raw, Descriptor: Descriptor{
		MediaType: clean(body.MediaType), Size: int64(len(raw)), ArtifactType: clean(body.ArtifactType), Annotations: body.Annotations,
	}}
	if t, _, err := mime.ParseMediaType(mediaType); m.MediaType == "" && err == nil && !vague(t) {
		m.MediaType = t
	}
	payload := raw
	if body.FSLayers != nil && body.Signatures != nil {
		var err error
		if payload, err = signedPayload(raw, body.Signatures); err != nil {
			return nil, err
		}
	}
	m.Digest = oci.Sum("sha256", payload)

	c := collector{sizes: map[oci.Digest]int64{}}
	m.children = c.all("manifests", body.Manifests)
	if body.Config != nil {
		m.blobs = c.all("config", []wireDescriptor{*body.Config})
	}
	for _, d := range slices.Concat(c.all("layers", body.Layers), c.all("blobs", body.Blobs)) {
		if nonDistributable(d) {
			m.skipped = append(m.skipped, d)
		} else {
			m.blobs = append(m.blobs, d)
		}
	}
	for _, l := range body.FSLayers {
		m.blobs = append(m.blobs, c.all("fsLayers", []wireDescriptor{{
			Digest: l.BlobSum.String(), MediaType: dockerLayer, Size: -1, unsized: true,
		}})...)
	}
	if body.Subject != nil {
		if d, err := body.Subject.descriptor(); err != nil {
			c.fail("subject", 0, err)
		} else {
			m.subject = &d
		}
	}
	if m.MediaType == "" {
		m.MediaType = m.guess(body.Config, body.FSLayers != nil, body.Signatures != nil)
	}
	if m.ArtifactType == "" && body.Config != nil && isImage(m.MediaType) {
		// A manifest without an artifact type takes the media type of its config (image-spec, "artifactType").
		m.ArtifactType = clean(body.Config.MediaType)
	}
	if c.err != nil {
		return nil, &TornError{m, c.err}
	}
	return m, nil
}

// guess derives a media type from the contents of a manifest when neither the manifest nor the registry names one.
func (m *Manifest) guess(config *wireDescriptor, schema1, signed bool) string {
	switch {
	case schema1 && signed:
		return dockerSchema1Signed
	case schema1:
		return dockerSchema1
	case len(m.children) > 0:
		return ocispec.MediaTypeImageIndex
	case config != nil:
		return ocispec.MediaTypeImageManifest
	}
	return "application/json"
}

// wireDescriptor is a descriptor in its JSON form. Embedded data is ignored: the blob exists as well.
type wireDescriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType"`
	Annotations  map[string]string `json:"annotations"`
	URLs         []string          `json:"urls"`
	Platform     *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platform"`

	unsized bool
}

func (w *wireDescriptor) descriptor() (d Descriptor, err error) {
	digest, err := oci.ParseDigest(w.Digest)
	if err != nil {
		return d, fmt.Errorf("digest %q: %w", clean(w.Digest), err)
	}
	if w.Size < 0 && !w.unsized || w.Size > oci.MaxBlob { // sums of larger sizes would overflow
		return d, fmt.Errorf("size %d", w.Size)
	}
	d = Descriptor{
		Digest: digest, MediaType: clean(w.MediaType), Size: w.Size, ArtifactType: clean(w.ArtifactType),
		Annotations: w.Annotations, URLs: w.URLs,
	}
	if p := w.Platform; p != nil {
		d.Platform = clean(strings.TrimRight(p.OS+"/"+p.Architecture+"/"+p.Variant, "/"))
	}
	return d, nil
}

// collector validates descriptors and drops duplicates. It keeps the first error.
type collector struct {
	sizes map[oci.Digest]int64
	err   error
}

func (c *collector) fail(member string, i int, err error) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s[%d]: %w", ErrInvalid, member, i, err)
	}
}

func (c *collector) all(member string, list []wireDescriptor) (out []Descriptor) {
	for i := range list {
		d, err := list[i].descriptor()
		if err != nil {
			c.fail(member, i, err)
			continue
		}
		size, seen := c.sizes[d.Digest]
		if seen && size != d.Size && size >= 0 && d.Size >= 0 {
			// One of the sizes is wrong, and a client that checks would refuse the image.
			c.fail(member, i, fmt.Errorf("%s has %d bytes here and %d elsewhere", d.Digest, d.Size, size))
			continue
		}
		if !seen {
			c.sizes[d.Digest] = d.Size
			out = append(out, d)
		}
	}
	return out
}
