package promote

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// World is what registries hold. Repositories are named in full: host[:port]/path/image. Its methods are called concurrently; it
// bounds the requests itself and tries them again where that helps.
type World interface {
	// List returns what a repository holds, tags by name and manifests by digest. [registry.ErrNotFound] when there is no such
	// repository. It is asked once for each repository.
	List(ctx context.Context, repository string) (*registry.Listing, error)
	// Resolve returns the digest of a tag, or the digest itself when the repository has it; [registry.ErrNotFound] otherwise.
	Resolve(ctx context.Context, repository, ref string) (oci.Digest, error)
}

// view is one repository as far as it was asked about.
type view struct {
	world      World
	repository string
	list       *registry.Listing
}

// look reads a repository. That there is none is no error: it is empty.
func look(ctx context.Context, w World, repository string) (*view, error) {
	l, err := w.List(ctx, repository)
	if errors.Is(err, registry.ErrNotFound) {
		l, err = &registry.Listing{All: true}, nil
	}
	if err != nil {
		return nil, err
	}
	return &view{w, repository, l}, nil
}

// tag returns the digest of a tag, zero when there is no such tag. A request is made only where the list does not tell.
func (v *view) tag(ctx context.Context, name string) (oci.Digest, error) {
	i, listed := slices.BinarySearchFunc(v.list.Tags, name, func(t registry.Tag, name string) int { return strings.Compare(t.Name, name) })
	switch {
	case listed && !v.list.Tags[i].Digest.IsZero():
		return v.list.Tags[i].Digest, nil
	case !listed && !v.list.Truncated:
		return oci.Digest{}, nil
	}
	return v.resolve(ctx, name)
}

// has says whether the repository has a digest.
func (v *view) has(ctx context.Context, d oci.Digest) (bool, error) {
	_, listed := slices.BinarySearchFunc(v.list.Manifests, d, func(m registry.Listed, d oci.Digest) int { return strings.Compare(m.Digest.String(), d.String()) })
	if listed || v.list.All && !v.list.Truncated {
		return listed, nil
	}
	got, err := v.resolve(ctx, d.String())
	return !got.IsZero(), err
}

func (v *view) resolve(ctx context.Context, ref string) (oci.Digest, error) {
	d, err := v.world.Resolve(ctx, v.repository, ref)
	if errors.Is(err, registry.ErrNotFound) {
		return oci.Digest{}, nil
	}
	return d, err
}
