package walk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ociproxy/internal/registry"
	"ociproxy/internal/transfer"
)

// Blobs reads blobs from registries for a [transfer.Engine]. It returns the registry that has a repository, and the
// repository's name there. Several goroutines call it.
type Blobs func(repository string) (*registry.Registry, string, error)

// Open implements [transfer.Source]. It returns a [transfer.SizeError] when a blob's size differs from its
// manifest's.
func (at Blobs) Open(ctx context.Context, b transfer.Blob, off int64) (io.ReadCloser, error) {
	reg, repo, err := at(b.Repository)
	if err != nil {
		return nil, err
	}
	body, size, err := reg.OpenBlob(ctx, repo, b.Digest, off)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil, fmt.Errorf("%w: %w", transfer.ErrGone, err)
	case registry.Refused(err):
		return nil, fmt.Errorf("%w: %w", transfer.ErrRefused, err)
	case err != nil:
		return nil, err
	case size >= 0 && size != b.Size:
		body.Close()
		return nil, fmt.Errorf("read blob %s in %s: %w", b.Digest, b.Repository, &transfer.SizeError{Said: b.Size, Is: size})
	}
	return body, nil
}
