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
	// Resolve returns the digest of a tag, or the digest itself if the repository has it; otherwise
	// [registry.ErrNotFound].
	Resolve(ctx context.Context, repository, ref string) (oci.Digest, error)
	// NameUnknown asks for a manifest. It reports whether the registry answers that it does not know the repository,
	// and not only that it does not have this manifest. Many registries never report that, or report it only for lists.
	NameUnknown(ctx context.Context, repository string, d oci.Digest) (bool, error)
}

// look reads a repository. A repository without a list is no error: planning asks for its digests.
func look(ctx context.Context, h Holdings, repository string) (*registry.View, error) {
	l, err := h.List(ctx, repository)
	return registry.NewView(l, err, func(ctx context.Context, ref string) (oci.Digest, error) {
		return h.Resolve(ctx, repository, ref)
	})
}
