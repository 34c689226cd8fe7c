package sign

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Bounds of what others may have put next to an image.
const (
	maxText       = 1 << 20 // bytes of a payload, envelope or bundle
	maxSignatures = 256     // how many of one list are examined
)

// SignatureTag returns the tag under which cosign keeps the signatures of an image. The digest must be SHA-256.
func SignatureTag(d oci.Digest) string { return registry.FallbackTag(d) + ".sig" }

// attestationTag returns the tag of cosign's attestations.
func attestationTag(d oci.Digest) string { return registry.FallbackTag(d) + ".att" }

// Verify looks for a signature or a provenance statement of one of the keys about the image, and returns nil when
// there is one. It reads cosign's list of signatures, whose payload must name the digest and exactly the identity;
// its list of attestations; and sigstore bundles among the referrers, which name the digest only. It ignores
// certificates and transparency logs. The error is an [Untrusted] when there is none, otherwise the registry's.
func Verify(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest, keys Keys, identity Identity) error {
	c := &check{reg: reg, repo: repo, d: d, keys: keys, identity: identity.of(reg, repo)}
	if d.Algorithm() == "sha256" {
		for _, list := range []struct {
			tag  string
			look func(context.Context, registry.Descriptor) (bool, error)
		}{{SignatureTag(d), c.simple}, {attestationTag(d), c.attestation}} {
			m, err := reg.Manifest(ctx, repo, list.tag)
			if errors.Is(err, registry.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("verify %s: %w", c, err)
			}
			if ok, err := c.any(ctx, layers(m), list.look); ok || err != nil {
				return err
			}
		}
	}
	refs, _, err := reg.Referrers(ctx, repo, d)
	if err != nil {
		return fmt.Errorf("verify %s: %w", c, err)
	}
	if ok, err := c.any(ctx, refs, c.referrer); ok || err != nil {
		return err
	}
	return &Untrusted{Image: c.String(), Found: c.seen()}
}

// Untrusted is an [ErrUntrusted] that says what was found instead of a good signature.
type Untrusted struct{ Image, Found string }

// Error implements error.
func (e *Untrusted) Error() string {
	return fmt.Sprintf("verify %s: %v: found %s", e.Image, ErrUntrusted, e.Found)
}

// Is implements the comparison of errors.Is.
func (e *Untrusted) Is(target error) bool { return target == ErrUntrusted }

// check is one search for a signature.
type check struct {
	reg      *registry.Registry
	repo     string
	d        oci.Digest
	keys     Keys
	identity string

	looked int // signatures seen
	other  int // of these, signed by a trusted key, but about something else
}

func (c *check) String() string { return c.reg.String() + "/" + c.repo + "@" + c.d.String() }

// seen describes what was found instead.
func (c *check) seen() string {
	switch {
	case c.looked == 0:
		return "no signature at all"
	case c.other > 0:
		return fmt.Sprintf("%d; %d of a trusted key about another image or name (wanted: %s)", c.looked, c.other, c.identity)
	}
	return fmt.Sprintf("%d of other keys", c.looked)
}

// any examines a list until it finds a good signature. Unreadable objects of other clients are no error: they are no
// signatures.
func (c *check) any(ctx context.Context, list []registry.Descriptor, look func(context.Context, registry.Descriptor) (bool, error)) (bool, error) {
	for _, desc := range list[:min(len(list), maxSignatures)] {
		ok, err := look(ctx, desc)
		switch {
		case ok:
			return true, nil
		case err == nil, errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrDigest), errors.Is(err, registry.ErrInvalid), errors.Is(err, registry.ErrTooLarge):
		default:
			return false, fmt.Errorf("verify %s: %w", c, err)
		}
	}
	return false, nil
}

// simple examines a layer of a list of signatures.
func (c *check) simple(ctx context.Context, layer registry.Descriptor) (bool, error) {
	sig, err := base64.StdEncoding.DecodeString(layer.Annotations[sigAnnotation])
	if layer.MediaType != simpleSigning || err != nil || len(sig) == 0 {
		return false, nil
	}
	c.looked++
	text, err := c.text(ctx, layer)
	if err != nil || !c.keys.signed(text, sig) {
		return false, err
	}
	return c.about(aboutSimple(text, c.identity, c.d)), nil
}

// attestation examines a layer of a list of attestations.
func (c *check) attestation(ctx context.Context, layer registry.Descriptor) (bool, error) {
	if layer.MediaType != dsseEnvelope {
		return false, nil
	}
	raw, err := c.text(ctx, layer)
	if err != nil {
		return false, err
	}
	return c.envelope(raw), nil
}

// referrer examines a manifest that refers to the image.
func (c *check) referrer(ctx context.Context, ref registry.Descriptor) (bool, error) {
	// Some registries report the type of the config instead, which is empty, or nothing.
	if t := ref.ArtifactType; !strings.HasPrefix(t, bundlePrefix) && t != ocispec.MediaTypeEmptyJSON && t != "" {
		return false, nil
	}
	m, err := c.reg.Manifest(ctx, c.repo, ref.Digest.String())
	if err != nil {
		return false, err
	}
	return c.any(ctx, layers(m), func(ctx context.Context, layer registry.Descriptor) (bool, error) {
		if !strings.HasPrefix(layer.MediaType, bundlePrefix) {
			return false, nil
		}
		raw, err := c.text(ctx, layer)
		if err != nil {
			return false, err
		}
		var b bundle
		if json.Unmarshal(raw, &b) != nil || !strings.HasPrefix(b.MediaType, bundlePrefix) || len(b.Envelope) == 0 {
			return false, nil
		}
		return c.envelope(b.Envelope), nil
	})
}

func (c *check) envelope(raw []byte) bool {
	c.looked++
	text, ok := c.keys.opened(raw)
	return ok && c.about(aboutStatement(text, c.d))
}

// about counts what a trusted key signed that is not about our image.
func (c *check) about(err error) bool {
	if err != nil {
		c.other++
	}
	return err == nil
}

// layers returns the layers of a manifest, each as often as it occurs: two signatures of one text differ only in their
// annotations.
func layers(m *registry.Manifest) (out []registry.Descriptor) {
	var parsed ocispec.Manifest
	if json.Unmarshal(m.Raw, &parsed) != nil {
		return nil // not a kind of manifest that has signatures
	}
	for _, l := range parsed.Layers {
		if d, err := oci.ParseDigest(l.Digest.String()); err == nil {
			out = append(out, registry.Descriptor{Digest: d, MediaType: l.MediaType, Size: l.Size, Annotations: l.Annotations})
		}
	}
	return out
}

// text reads a small blob.
func (c *check) text(ctx context.Context, desc registry.Descriptor) ([]byte, error) {
	if desc.Size > maxText || desc.Digest.Algorithm() != "sha256" {
		return nil, fmt.Errorf("%s: %w", desc.Digest, registry.ErrTooLarge)
	}
	body, _, err := c.reg.OpenBlob(ctx, c.repo, desc.Digest, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", desc.Digest, err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != desc.Digest.Hex() {
		return nil, fmt.Errorf("read %s: %w", desc.Digest, registry.ErrDigest)
	}
	return raw, nil
}
