package promote

import (
	"context"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Holdings is what registries hold. It names repositories in full: host[:port]/path/image. Its methods are called
// concurrently; it bounds the requests itself and repeats them where that helps.
type Holdings interface {
	// List returns what a repository holds, tags by name and manifests by digest. [registry.ErrNotFound] when the
	// registry has no list of it, which is no proof that it is empty. It is asked once for each repository.
	List(ctx context.Context, repository string) (*registry.Listing, error)
	// Resolve returns the digest of a tag, or the digest itself when the repository has it; [registry.ErrNotFound] otherwise.
	Resolve(ctx context.Context, repository, ref string) (oci.Digest, error)
	// NameUnknown asks for a manifest, and says whether the registry answers that it does not know the repository:
	// not only this manifest of it. Many never tell that, or tell it of repositories only.
	NameUnknown(ctx context.Context, repository string, d oci.Digest) (bool, error)
}

// look reads a repository. That it has no list is no error: its digests are asked for.
func look(ctx context.Context, h Holdings, repository string) (*registry.View, error) {
	l, err := h.List(ctx, repository)
	return registry.NewView(l, err, func(ctx context.Context, ref string) (oci.Digest, error) {
		return h.Resolve(ctx, repository, ref)
	})
}
