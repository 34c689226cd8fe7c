package sign

import (
	"context"
	"errors"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Check is the hook of a promotion before its first step: nil means that the image in the staging registry may be promoted. It is
// called once for a digest and its source, from several goroutines. The error is [ErrUntrusted] when the image is not signed as it
// must be, otherwise the registry's. [Policy.Check] is one.
type Check func(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) error

// Ensure is the hook of a promotion after its second step: on return the image has our signature. It is called once for a digest,
// with the canonical destination, from several goroutines, for what is in place already too: so an earlier run's gap is closed.
// made says that the signature is new. [Signer.Ensure] is one.
type Ensure func(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) (made bool, err error)

// Errors of keys, signatures and checks.
var (
	// ErrUntrusted: no signature of a trusted key is about this image.
	ErrUntrusted = errors.New("no signature of a trusted key")
	// ErrKey: the key cannot be read: not PEM, of a kind that is not known, or the password is wrong.
	ErrKey = errors.New("unusable key")
	// ErrUnsupported: images whose digest is not SHA-256 have no place for cosign's signatures.
	ErrUnsupported = errors.New("only images with a sha256 digest can be signed")
	// ErrForeign: under the tag of an image's signatures lies something else.
	ErrForeign = errors.New("the tag of signatures has something else")
	// ErrContended: others changed the list of signatures as often as we did.
	ErrContended = errors.New("the list of signatures is being changed by others")
)
