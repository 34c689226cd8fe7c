package sign

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// What Ensure signs verifies, one signature is enough, and the signatures of others stay.
func TestEnsure(t *testing.T) {
	w := newWorld(t)
	ours, theirs := newKey(t), newKey(t)
	if err := w.verify(ours, nil); !errors.Is(err, ErrUntrusted) {
		t.Errorf("before anybody signed: %v", err)
	}
	for _, step := range []struct {
		key  *PrivateKey
		made bool
		want int
	}{{theirs, true, 1}, {ours, true, 2}, {ours, false, 2}, {theirs, false, 2}} {
		s := &Signer{Key: step.key}
		made, err := s.Ensure(t.Context(), w.reg, repo, w.d)
		if err != nil || made != step.made {
			t.Fatalf("made %v, %v; want %v", made, err, step.made)
		}
		if n := len(w.list()); n != step.want {
			t.Errorf("%d signatures, want %d", n, step.want)
		}
		if err := w.verify(step.key, nil); err != nil {
			t.Error(err)
		}
	}
}

// For a signature that is there already, Ensure makes one request.
func TestEnsureRequests(t *testing.T) {
	w := newWorld(t)
	s := &Signer{Key: newKey(t)}
	if _, err := s.Ensure(t.Context(), w.reg, repo, w.d); err != nil {
		t.Fatal(err)
	}
	before, _, _ := w.reg.Budget().Stats()
	if made, err := s.Ensure(t.Context(), w.reg, repo, w.d); err != nil || made {
		t.Fatal(made, err)
	}
	if after, _, _ := w.reg.Budget().Stats(); after-before != 1 {
		t.Errorf("%d requests", after-before)
	}
}

// Several signers sign at once. In the end each signature is there, because each signer checks again.
func TestEnsureConcurrently(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	keys := []*PrivateKey{newKey(t), newKey(t), newKey(t)}
	errs := make([]error, len(keys))
	for i, k := range keys {
		all.Go(func() { _, errs[i] = (&Signer{Key: k}).Ensure(t.Context(), w.reg, repo, w.d) })
	}
	all.Wait()
	for i, k := range keys {
		if errs[i] != nil && !errors.Is(errs[i], ErrContended) {
			t.Error(errs[i])
		}
		if _, err := (&Signer{Key: k}).Ensure(t.Context(), w.reg, repo, w.d); err != nil { // repairs what was lost
			t.Error(err)
		}
	}
	for _, k := range keys {
		if err := w.verify(k, nil); err != nil {
			t.Error(err)
		}
	}
}

// Another client that writes the same list repeatedly, without our signature, must not look like success.
func TestEnsureContended(t *testing.T) {
	w := newWorld(t)
	s := &Signer{Key: newKey(t)}
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".sig") {
			http.NotFound(rw, r)
			return true
		}
		return false
	})
	if _, err := s.Ensure(t.Context(), w.reg, repo, w.d); !errors.Is(err, ErrContended) {
		t.Error(err)
	}
}

func TestEnsureRefuses(t *testing.T) {
	w := newWorld(t)
	s := &Signer{Key: newKey(t)}
	long, err := oci.ParseDigest("sha512:" + strings.Repeat("0", 128))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ensure(t.Context(), w.reg, repo, long); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	w.manifest(SignatureTag(w.d), ocispec.Manifest{Config: w.blob("application/x", []byte("{}")), Layers: nil})
	if _, err := s.Ensure(t.Context(), w.reg, repo, w.d); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
}

// A signature must name this digest, and exactly this name.
func TestVerifyIdentity(t *testing.T) {
	w := newWorld(t)
	k := newKey(t)
	named := Renamed(w.reg.String(), "registry.example.org")
	if _, err := (&Signer{Key: k, Identity: named}).Ensure(t.Context(), w.reg, repo, w.d); err != nil {
		t.Fatal(err)
	}
	if err := w.verify(k, named); err != nil {
		t.Error(err)
	}
	err := w.verify(k, nil)
	if !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "another image or name") {
		t.Errorf("another name: %v", err)
	}
	if err := w.verify(newKey(t), named); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "1 of other keys") {
		t.Errorf("another key: %v", err)
	}
	// Put the signature of one image under the tag of another.
	other := w.manifest("v2", ocispec.Manifest{Config: w.blob("application/vnd.oci.image.config.v1+json", []byte("{ }"))})
	w.manifest(SignatureTag(parse(t, other.Digest)), ocispec.Manifest{Config: w.blob("application/x", []byte("{}")), Layers: w.list()})
	if err := Verify(t.Context(), w.reg, repo, parse(t, other.Digest), k.Public(), named); !errors.Is(err, ErrUntrusted) {
		t.Errorf("another image: %v", err)
	}
}

// Bundles and attestations vouch for an image if they are about it and say where it comes from.
func TestVerifyStatements(t *testing.T) {
	k := newKey(t)
	for name, c := range map[string]struct {
		put  func(w *world)
		good bool
	}{
		"signed":     {func(w *world) { w.bundled(k, w.desc, "https://sigstore.dev/cosign/sign/v1") }, true},
		"provenance": {func(w *world) { w.bundled(k, w.desc, "https://slsa.dev/provenance/v1") }, true},
		"scan":       {func(w *world) { w.bundled(k, w.desc, "https://cosign.sigstore.dev/attestation/vuln/v1") }, false},
		"other key":  {func(w *world) { w.bundled(newKey(w.t), w.desc, "https://slsa.dev/provenance/v1") }, false},
		"other image": {func(w *world) {
			w.bundled(k, w.blob("x/y", []byte("other")), "https://slsa.dev/provenance/v1")
		}, false},
		"attestation": {func(w *world) {
			w.manifest(attestationTag(w.d), ocispec.Manifest{Config: w.blob("application/x", []byte("{}")), Layers: []ocispec.Descriptor{
				w.blob(dsseEnvelope, []byte("no JSON")), w.blob(dsseEnvelope, w.envelope(k, w.desc.Digest, "https://slsa.dev/provenance/v0.2")),
			}})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.put(w)
			if err := w.verify(k, nil); (err == nil) != c.good || err != nil && !errors.Is(err, ErrUntrusted) {
				t.Error(err)
			}
		})
	}
}

// A failing registry is not the same as an unsigned image.
func TestVerifyFailure(t *testing.T) {
	w := newWorld(t)
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		rw.WriteHeader(http.StatusForbidden)
		return true
	})
	if err := w.verify(newKey(t), nil); errors.Is(err, ErrUntrusted) || !errors.Is(err, registry.ErrUnauthorized) {
		t.Error(err)
	}
}

func TestPolicy(t *testing.T) {
	w := newWorld(t)
	ours, theirs := newKey(t), newKey(t)
	if _, err := (&Signer{Key: ours}).Ensure(t.Context(), w.reg, repo, w.d); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode         Mode
		keys         Keys
		good, warned bool
	}{
		{Off, nil, true, false},
		{"", theirs.Public(), true, false},
		{Warn, ours.Public(), true, false},
		{Warn, theirs.Public(), true, true},
		{Require, ours.Public(), true, false},
		{Require, append(theirs.Public(), ours.Public()...), true, false},
		{Require, theirs.Public(), false, false},
		{Require, nil, false, false},
	} {
		t.Run(fmt.Sprint(c.mode, len(c.keys), c.good), func(t *testing.T) {
			warned := false
			p := &Policy{Mode: c.mode, Keys: c.keys, Warn: func(error) { warned = true }}
			err := p.Check(t.Context(), w.reg, repo, w.d)
			if (err == nil) != c.good || warned != c.warned || err != nil && !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v, warned %v", err, warned)
			}
		})
	}
}

// Lists of signatures are joined: nothing is lost, and no new list is made if none is needed.
func TestUnion(t *testing.T) {
	w := newWorld(t)
	ours, theirs := newKey(t), newKey(t)
	read := func() *registry.Manifest {
		m, err := w.reg.Manifest(t.Context(), repo, SignatureTag(w.d))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	sign := func(k *PrivateKey) {
		if _, err := (&Signer{Key: k}).Ensure(t.Context(), w.reg, repo, w.d); err != nil {
			t.Fatal(err)
		}
	}
	sign(ours)
	a := read()
	sign(theirs)
	both := read()
	w.manifest(SignatureTag(w.d), ocispec.Manifest{Config: w.blob("application/x", []byte("{}")), Layers: w.list()[1:]})
	b := read()
	for name, c := range map[string]struct{ have, add, want *registry.Manifest }{
		"has all": {both, a, both}, "has less": {b, both, both}, "same": {a, a, a},
	} {
		got, config, err := Union(c.have, c.add)
		if err != nil || got != c.want || config != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	got, config, err := Union(a, b)
	if err != nil {
		t.Fatal(err)
	}
	w.blob("application/x", config)
	if _, err := w.reg.PutManifest(t.Context(), repo, SignatureTag(w.d), got, registry.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*PrivateKey{ours, theirs} {
		if err := w.verify(k, nil); err != nil {
			t.Error(err)
		}
	}
	index, err := registry.ParseManifest([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Union(a, index); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
}
