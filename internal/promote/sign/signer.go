package sign

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// tries bounds how often a list of signatures is changed again because another client changed it at the same time.
const tries = 4

// Signer signs images with one key. Several goroutines, and several machines, may use the key at once.
type Signer struct {
	Key      *PrivateKey
	Identity Identity // what signatures call the image; nil: its repository's name
}

// Ensure is an [Ensure]. It leaves an image alone that has a signature of this key with the same text: that takes one
// request. Otherwise it adds the signature to the list under [SignatureTag], keeps the others, and reads the list
// back.
func (s *Signer) Ensure(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) (made bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sign %s/%s@%s: %w", reg, repo, d, err)
		}
	}()
	if d.Algorithm() != "sha256" {
		return false, ErrUnsupported
	}
	text, err := simple(s.Identity.of(reg, repo), d)
	if err != nil {
		return false, err
	}
	layer := ocispec.Descriptor{MediaType: simpleSigning, Digest: digest.FromBytes(text), Size: int64(len(text))}
	for range tries {
		list, err := readList(ctx, reg, repo, SignatureTag(d))
		if err != nil {
			return false, err
		}
		if s.in(list, layer.Digest, text) {
			return made, nil
		}
		if layer.Annotations == nil {
			sig, err := s.Key.sign(text)
			if err != nil {
				return false, err
			}
			layer.Annotations = map[string]string{sigAnnotation: base64.StdEncoding.EncodeToString(sig)}
			if err := push(ctx, reg, repo, text); err != nil {
				return false, err
			}
		}
		made = true
		if err := list.add(ctx, reg, repo, SignatureTag(d), layer); err != nil && !errors.Is(err, registry.ErrExists) {
			return false, err
		}
		// Registries have no compare-and-swap for tags, so the loop reads the list again.
	}
	return false, ErrContended
}

// in reports whether a list has our signature of a text.
func (s *Signer) in(list *list, of digest.Digest, text []byte) bool {
	for _, l := range list.manifest.Layers {
		if l.MediaType != simpleSigning || l.Digest != of {
			continue
		}
		if sig, err := base64.StdEncoding.DecodeString(l.Annotations[sigAnnotation]); err == nil && s.Key.Public().signed(text, sig) {
			return true
		}
	}
	return false
}

// list is the manifest whose layers are signatures.
type list struct {
	manifest ocispec.Manifest
	exists   bool
}

func readList(ctx context.Context, reg *registry.Registry, repo, tag string) (*list, error) {
	m, err := reg.Manifest(ctx, repo, tag)
	if errors.Is(err, registry.ErrNotFound) {
		return &list{manifest: ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}}, nil
	}
	if err != nil {
		return nil, err
	}
	l := &list{exists: true}
	if err := json.Unmarshal(m.Raw, &l.manifest); err != nil || m.Children() != nil || len(l.manifest.Layers) == 0 {
		return nil, fmt.Errorf("%w: %s is %s", ErrForeign, tag, m.MediaType)
	}
	if l.manifest.MediaType == "" {
		l.manifest.MediaType = m.MediaType
	}
	return l, nil
}

// add puts the list with one more layer under its tag. Everything it refers to must be there, except the config, which
// lists the layers.
func (l *list) add(ctx context.Context, reg *registry.Registry, repo, tag string, layer ocispec.Descriptor) error {
	m, config, err := extended(l.manifest, []ocispec.Descriptor{layer})
	if err != nil {
		return err
	}
	if err := push(ctx, reg, repo, config); err != nil {
		return err
	}
	_, err = reg.PutManifest(ctx, repo, tag, m, registry.PutOptions{IfNoneMatch: !l.exists})
	return err
}

// push sends a small blob, unless it is there already.
func push(ctx context.Context, reg *registry.Registry, repo string, raw []byte) error {
	d := oci.Sum("sha256", raw)
	_, err := reg.StatBlob(ctx, repo, d)
	if errors.Is(err, registry.ErrNotFound) {
		return reg.PushBlob(ctx, repo, d, int64(len(raw)), bytes.NewReader(raw))
	}
	return err
}
