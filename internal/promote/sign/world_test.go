package sign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

// world is a registry with one image in it.
type world struct {
	*registrytest.Registry
	t    *testing.T
	reg  *registry.Registry
	d    oci.Digest
	desc ocispec.Descriptor
}

const repo = "team/app"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, Registry: registrytest.New(t, registrytest.Options{Referrers: true})}
	var err error
	if w.reg, err = registry.Open(registry.Options{URL: w.URL, Insecure: true, Budget: registry.NewBudget(10000, 16)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.reg.Close)
	w.desc = w.manifest("v1", ocispec.Manifest{Config: w.blob("application/vnd.oci.image.config.v1+json", []byte("{}"))})
	w.d = parse(t, w.desc.Digest)
	return w
}

func parse(t *testing.T, d digest.Digest) oci.Digest {
	t.Helper()
	out, err := oci.ParseDigest(d.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) blob(mediaType string, raw []byte) ocispec.Descriptor {
	w.t.Helper()
	d := digest.FromBytes(raw)
	if err := w.reg.PushBlob(w.t.Context(), repo, parse(w.t, d), int64(len(raw)), bytes.NewReader(raw)); err != nil {
		w.t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

// manifest pushes a manifest under a tag, or by its digest if tag is "".
func (w *world) manifest(tag string, m ocispec.Manifest) ocispec.Descriptor {
	w.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	raw, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := registry.ParseManifest(raw, m.MediaType)
	if err != nil {
		w.t.Fatal(err)
	}
	if tag == "" {
		tag = parsed.Digest.String()
	}
	if _, err := w.reg.PutManifest(w.t.Context(), repo, tag, parsed, registry.PutOptions{}); err != nil {
		w.t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// list reads the list of signatures.
func (w *world) list() []ocispec.Descriptor {
	w.t.Helper()
	l, err := readList(w.t.Context(), w.reg, repo, SignatureTag(w.d))
	if err != nil {
		w.t.Fatal(err)
	}
	return l.manifest.Layers
}

// bundled pushes a sigstore bundle that refers to an image.
func (w *world) bundled(k *PrivateKey, to ocispec.Descriptor, predicate string) {
	w.t.Helper()
	raw, err := json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": json.RawMessage(w.envelope(k, to.Digest, predicate)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.manifest("", ocispec.Manifest{
		ArtifactType: "application/vnd.dev.sigstore.bundle.v0.3+json", Config: w.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers: []ocispec.Descriptor{w.blob("application/vnd.dev.sigstore.bundle.v0.3+json", raw)}, Subject: &w.desc,
	})
}

func (w *world) envelope(k *PrivateKey, about digest.Digest, predicate string) []byte {
	w.t.Helper()
	text, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate,
		"subject": []any{map[string]any{"digest": map[string]string{"sha256": about.Encoded()}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := dsse.WrapSigner(k.signer, inToto).SignMessage(bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) verify(k *PrivateKey, identity Identity) error {
	return Verify(context.WithoutCancel(w.t.Context()), w.reg, repo, w.d, k.Public(), identity)
}

func newKey(t *testing.T) *PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
