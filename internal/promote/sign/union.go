package sign

import (
	"encoding/json"
	"fmt"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/registry"
)

// Union adds to one list of signatures or attestations, as cosign keeps them under a tag, what only another list has.
// It keeps each layer with its own annotations, because two signatures of one text differ in nothing else. The result
// is have when have already has everything, and add, with its digest, when add has everything. Otherwise it is a new
// manifest; config is the blob that it needs beside the layers of both. The error is [ErrForeign] when one of them is
// not such a list.
func Union(have, add *registry.Manifest) (out *registry.Manifest, config []byte, err error) {
	var a, b ocispec.Manifest
	for _, m := range []struct {
		from *registry.Manifest
		to   *ocispec.Manifest
	}{{have, &a}, {add, &b}} {
		if err := json.Unmarshal(m.from.Raw, m.to); err != nil || len(m.to.Layers) == 0 || len(m.from.Children()) > 0 {
			return nil, nil, fmt.Errorf("%w: %s", ErrForeign, m.from.Digest)
		}
	}
	missing, extra := without(b.Layers, a.Layers), without(a.Layers, b.Layers)
	switch {
	case len(missing) == 0:
		return have, nil, nil
	case len(extra) == 0:
		return add, nil, nil
	}
	a.MediaType = have.MediaType
	return extended(a, missing)
}

// without returns the layers of list that other does not have.
func without(list, other []ocispec.Descriptor) (out []ocispec.Descriptor) {
	has := map[string]bool{}
	for _, l := range other {
		has[l.Digest.String()+" "+l.Annotations[sigAnnotation]] = true
	}
	for _, l := range list {
		if !has[l.Digest.String()+" "+l.Annotations[sigAnnotation]] {
			out = append(out, l)
		}
	}
	return out
}

// extended returns a list with more layers, and its config, which names them all.
func extended(m ocispec.Manifest, more []ocispec.Descriptor) (out *registry.Manifest, config []byte, err error) {
	m.Layers = append(m.Layers[:len(m.Layers):len(m.Layers)], more...)
	image := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers"}}
	for _, layer := range m.Layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, layer.Digest)
	}
	if config, err = json.Marshal(image); err != nil {
		return nil, nil, err
	}
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, nil, err
	}
	out, err = registry.ParseManifest(raw, m.MediaType)
	return out, config, err
}
