package sign

import (
	"context"
	"errors"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Check is the hook of a promotion before its first step. nil means that the image in the staging registry may be
// promoted. Check is called once for a digest and its source, from several goroutines. The error is [ErrUntrusted] if
// the image is not signed as required, otherwise the registry's. [Policy.Check] is one.
type Check func(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) error

// Ensure is the hook of a promotion after its second step. When it returns, the image has our signature. It is called
// once for a digest, with the canonical destination, from several goroutines. It is also called for images that are in
// place already, so that it repairs what an earlier run missed. made says that the signature is new. [Signer.Ensure] is
// one.
type Ensure func(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) (made bool, err error)

// Errors of keys, signatures and checks.
var (
	// ErrUntrusted says that no signature of a trusted key is about this image.
	ErrUntrusted = errors.New("no signature of a trusted key")
	// ErrKey says that the key cannot be read: it is not PEM, its kind is unknown, or the password is wrong.
	ErrKey = errors.New("unusable key")
	// ErrUnsupported says that the image's digest is not SHA-256: cosign's signatures have no place for it.
	ErrUnsupported = errors.New("only images with a sha256 digest can be signed")
	// ErrForeign says that another manifest is under the tag of an image's signatures.
	ErrForeign = errors.New("the tag of signatures has something else")
	// ErrContended says that others changed the list of signatures as often as we did.
	ErrContended = errors.New("the list of signatures is being changed by others")
)
