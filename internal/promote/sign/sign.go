package sign

import (
	"errors"
	"context"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Check is the hook of a promotion before its first step: nil means that the image in the staging registry may be promoted. It is
// called once for a digest and its source, from several goroutines. The error is [ErrUntrusted] when the image is not signed as it
// must be, otherwise the registry's.
type Check func(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) error

// Ensure is the hook of a promotion after its second step: on return the image has our signature. It is called once for a digest,
// with the canonical destination, from several goroutines, for what is in place already too: so an earlier run's gap is closed.
// made says that the signature is new.
type Ensure func(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) (made bool, err error)

// Errors of checks.
var (
	// ErrUntrusted: no signature of a trusted key is about this image.
	ErrUntrusted = errors.New("no signature of a trusted key")
)
