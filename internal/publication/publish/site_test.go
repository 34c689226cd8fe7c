package publish

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/store"
)

func signer(seed byte) envelope.Signer {
	return envelope.Key(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize))))
}

func open(t *testing.T, dir string) *Site {
	t.Helper()
	b, err := store.Open(t.Context(), "file://"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Site{Bucket: b, Trust: &publication.Trust{Deployment: "prod", Roots: []ed25519.PublicKey{signer('r').Public()}, MaxAge: -1}}
}

func read(t *testing.T, s *Site) *State {
	t.Helper()
	st, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Faults) > 0 {
		t.Fatal(st.Faults)
	}
	return st
}

// TestSite walks through a publication's life.
func TestSite(t *testing.T) {
	dir := t.TempDir()
	s, root, config, override := open(t, dir), signer('r'), signer('c'), signer('o')
	ctx := t.Context()
	if _, err := s.SetKeys(ctx, read(t, s), root, publication.Keys{
		Config:   []publication.NamedKey{{Name: "ci", Key: key.Format(config.Public())}},
		Override: []publication.NamedKey{{Name: "on call", Key: key.Format(override.Public())}},
	}); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"a", "b", "c"} {
		heads, err := s.Publish(ctx, read(t, s), config, Change{Rings: []string{"canary", "all"}, Content: []byte(text), By: "me"})
		if err != nil || len(heads) != 2 || heads[1].Generation != uint64(i+1) {
			t.Fatal(heads, err)
		}
	}
	late := open(t, dir)
	stale := read(t, late)
	for _, want := range []string{"b", "a"} { // a second rollback goes further back
		heads, err := s.Rollback(ctx, read(t, s), config, []string{"canary"}, 0, "me", "")
		if err != nil || heads[0].SHA256 != publication.Hash([]byte(want)) {
			t.Fatal(want, heads, err)
		}
	}
	if _, err := s.Rollback(ctx, read(t, s), config, []string{"canary"}, 0, "me", ""); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if heads, err := s.Rollback(ctx, read(t, s), config, []string{"canary"}, 3, "me", ""); err != nil || heads[0].Generation != 6 {
		t.Error(heads, err)
	}
	if _, err := late.Publish(ctx, stale, config, Change{Rings: []string{"canary"}, Content: []byte("d")}); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	now := time.Now().UTC()
	if _, err := s.SetOverrides(ctx, read(t, s), override, []publication.Override{
		{ID: "x", Action: publication.Off, Candidate: "s3", Why: "dead", By: "me", From: now, Until: now.Add(time.Hour)},
	}); err != nil {
		t.Fatal(err)
	}
	// The override key may not publish, and the config key may not override.
	if _, err := s.Publish(ctx, read(t, s), override, Change{Rings: []string{"early"}, Content: []byte("e")}); publication.FaultOf(err) != publication.Unsigned {
		t.Error(err)
	}
	if _, err := s.SetOverrides(ctx, read(t, s), config, nil); publication.FaultOf(err) != publication.Unsigned {
		t.Error(err)
	}
	st, err := open(t, dir).Read(ctx)
	if err != nil || len(st.Faults) > 0 {
		t.Fatal(st.Faults, err)
	}
	if got := st.Overrides.Overrides; len(got) != 1 || got[0].Candidate != "s3" {
		t.Errorf("%+v", got)
	}
}

// TestRollbackOverSteps: after several publications were taken back at once, the next rollback returns to none of them.
func TestRollbackOverSteps(t *testing.T) {
	s, root := open(t, t.TempDir()), signer('r')
	ctx := t.Context()
	for _, text := range []string{"older", "base", "5%", "25%"} {
		if _, err := s.Publish(ctx, read(t, s), root, Change{Rings: []string{"all"}, Content: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		to   uint64
		want string
	}{{2, "base"}, {0, "older"}} {
		heads, err := s.Rollback(ctx, read(t, s), root, []string{"all"}, c.to, "me", "")
		if err != nil || heads[0].SHA256 != publication.Hash([]byte(c.want)) {
			t.Errorf("to %d: want %s, got %+v, %v", c.to, c.want, heads, err)
		}
	}
}

// counting is a signer that remembers the most bytes that it has signed.
type counting struct {
	envelope.Signer
	most int
}

func (c *counting) Sign(ctx context.Context, data []byte) ([]byte, error) {
	c.most = max(c.most, len(data))
	return c.Signer.Sign(ctx, data)
}

// TestAKeyServiceSignsHeads: AWS KMS signs at most 4096 bytes. After many publications with reasons of usual length a
// head still fits, and has a past of at least ten publications.
func TestAKeyServiceSignsHeads(t *testing.T) {
	s, root := open(t, t.TempDir()), &counting{Signer: signer('r')}
	for range publication.MaxPrevious + 5 {
		change := Change{Rings: []string{"canary"}, Content: []byte("a"), By: "ci@registry", Why: "rollout 20261130-074500, canary 5 %: #1234"}
		heads, err := s.Publish(t.Context(), read(t, s), root, change)
		if err != nil {
			t.Fatal(err)
		}
		if h := heads[0]; h.Generation > 10 && len(h.Previous) < 10 {
			t.Fatalf("generation %d has a past of %d publications", h.Generation, len(h.Previous))
		}
	}
	if root.most > 4096 {
		t.Errorf("it signs %d bytes", root.most)
	}
	long := strings.Repeat("a", 1000)
	for range 3 {
		heads, err := s.Publish(t.Context(), read(t, s), root, Change{Rings: []string{"canary"}, Content: []byte("a"), By: long, Why: long})
		if err != nil || len(heads[0].Previous) == 0 {
			t.Fatal(heads, err)
		}
	}
}

// TestTampered: what somebody else wrote into the bucket is neither published, returned to nor replaced.
func TestTampered(t *testing.T) {
	dir := t.TempDir()
	s, root := open(t, dir), signer('r')
	ctx := t.Context()
	for _, text := range []string{"a", "b"} {
		if _, err := s.Publish(ctx, read(t, s), root, Change{Rings: []string{"all"}, Content: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	content := publication.Hash([]byte("a"))
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(publication.ContentName(content), "x") // of the same size
	if text, err := s.Content(ctx, content, 1); err == nil {
		t.Errorf("the content %q", text)
	}
	if _, err := s.Publish(ctx, read(t, s), root, Change{Rings: []string{"all"}, Content: []byte("a")}); err == nil {
		t.Error("published another content than the head names")
	}
	if _, err := s.Rollback(ctx, read(t, s), root, []string{"all"}, 0, "me", ""); err == nil {
		t.Error("went back to another content than the head names")
	}
	if st := read(t, s); st.Heads["all"].Generation != 2 {
		t.Errorf("generation %d", st.Heads["all"].Generation)
	}

	head := publication.HeadName("all")
	write(head, "nonsense")
	s = open(t, dir) // one that has not seen the head before
	st, err := s.Read(ctx)
	if err != nil || publication.FaultOf(st.Faults[head]) != publication.Bad || st.Heads["all"] != nil {
		t.Fatalf("%+v, %v", st, err)
	}
	if _, err := s.Publish(ctx, st, root, Change{Rings: []string{"all"}, Content: []byte("c")}); err == nil {
		t.Error("replaced a head that it could not believe")
	}
	if text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(head))); err != nil || string(text) != "nonsense" {
		t.Errorf("%q, %v", text, err)
	}
}
