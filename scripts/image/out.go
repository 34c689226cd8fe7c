package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	own "ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// blobs returns everything that the manifest refers to.
func (m *image) blobs() []blob {
	all := []blob{m.config}
	for _, l := range m.layers {
		all = append(all, l.blob)
	}
	return all
}

// writeLayout writes an OCI image layout. It replaces what is at dir.
func writeLayout(b *built, dir, version string) error {
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(fresh, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	named := b.index.Descriptor
	named.Annotations = map[string]string{oci.AnnotationRefName: cmp.Or(version, "latest")}
	top, err := document(oci.MediaTypeImageIndex, oci.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{named},
	})
	if err != nil {
		return err
	}
	header, err := document(oci.MediaTypeLayoutHeader, oci.ImageLayout{Version: oci.ImageLayoutVersion})
	if err != nil {
		return err
	}
	all := []blob{b.index}
	for _, m := range b.images {
		all = append(append(all, m.manifest), m.blobs()...)
	}
	files := map[string][]byte{oci.ImageIndexFile: top.data, oci.ImageLayoutFile: header.data}
	for _, one := range all {
		files[filepath.Join(oci.ImageBlobsDir, "sha256", one.Digest.Encoded())] = one.data
	}
	for file, data := range files {
		if err := os.WriteFile(filepath.Join(fresh, file), data, 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// targets returns the names to push to. The name in image is that of the server, or of the only program. The other
// programs lie beside the server.
func targets(image string, programs []string) ([]name.Tag, error) {
	if image == "" {
		return nil, nil
	}
	tag, err := name.NewTag(image)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", image, err)
	}
	if len(programs) == 1 {
		return []name.Tag{tag}, nil
	}
	repository := tag.RepositoryStr()
	if path.Base(repository) != "oci-proxy" {
		return nil, fmt.Errorf("image %q: several images need several names: "+
			"end the name in oci-proxy, or make one image (PROGRAMS=oci-proxy)", image)
	}
	var all []name.Tag
	for _, program := range programs {
		all = append(all, tag.Registry.Repo(path.Join(path.Dir(repository), program)).Tag(tag.TagStr()))
	}
	return all, nil
}

// push sends what the registry does not have, with the credentials of Docker's configuration. It sends the tag last, so
// that a client that pulls the tag gets a complete image.
func push(ctx context.Context, b *built, to name.Tag) error {
	scheme := to.Registry.Scheme()
	r, err := registry.Open(registry.Options{URL: scheme + "://" + to.RegistryStr(), Insecure: scheme == "http"})
	if err != nil {
		return err
	}
	defer r.Close()
	repository := to.RepositoryStr()
	for _, m := range b.images {
		for _, one := range m.blobs() {
			if err := pushBlob(ctx, r, repository, one); err != nil {
				return err
			}
		}
		if err := pushManifest(ctx, r, repository, m.manifest.Digest.String(), m.manifest); err != nil {
			return err
		}
	}
	return pushManifest(ctx, r, repository, to.TagStr(), b.index)
}

func pushBlob(ctx context.Context, r *registry.Registry, repository string, b blob) error {
	d, err := own.ParseDigest(b.Digest.String())
	if err != nil {
		return err
	}
	if _, err := r.StatBlob(ctx, repository, d); !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	return r.PushBlob(ctx, repository, d, b.Size, bytes.NewReader(b.data))
}

func pushManifest(ctx context.Context, r *registry.Registry, repository, ref string, b blob) error {
	m, err := registry.ParseManifest(b.data, b.MediaType)
	if err != nil {
		return err
	}
	_, err = r.PutManifest(ctx, repository, ref, m, registry.PutOptions{ReadBack: true})
	return err
}
