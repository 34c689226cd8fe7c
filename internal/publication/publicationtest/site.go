// Package publicationtest publishes configurations into a directory, for tests.
package publicationtest

import (
	"crypto/ed25519"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/store"
)

// Deployment is the deployment of a [Site].
const Deployment = "prod"

// Signer returns a key that is the same in each run.
func Signer(seed byte) envelope.Signer {
	return envelope.Key(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize))))
}

// The keys of a [Site].
var (
	Root, Config, Override = Signer('r'), Signer('c'), Signer('o')
)

// Site is a publication in a directory.
type Site struct {
	*publish.Site
	Dir string // "" for one in another bucket
	t   testing.TB
}

// New makes a publication in a directory, with a set of keys and no head.
func New(t testing.TB, dir string) *Site {
	t.Helper()
	s := Open(t, "file://"+filepath.ToSlash(dir), nil)
	s.Dir = dir
	return s
}

// Open makes a publication in a bucket, with a set of keys and no head.
func Open(t testing.TB, url string, getenv func(string) string) *Site {
	t.Helper()
	b, err := store.Open(t.Context(), url, store.Options{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{t: t, Site: &publish.Site{
		Bucket: b, Trust: &publication.Trust{Deployment: Deployment, Roots: []ed25519.PublicKey{Root.Public()}, MaxAge: -1},
	}}
	s.Keys(Config)
	return s
}

// Keys replaces the set of keys: config are the config keys, and the override key stays.
func (s *Site) Keys(config ...envelope.Signer) {
	s.t.Helper()
	k := publication.Keys{Override: []publication.NamedKey{{Name: "on call", Key: key.Format(Override.Public())}}}
	for _, one := range config {
		k.Config = append(k.Config, publication.NamedKey{Name: "ci", Key: key.Format(one.Public())})
	}
	if _, err := s.SetKeys(s.t.Context(), s.State(), Root, k); err != nil {
		s.t.Fatal(err)
	}
}

// State reads what is published.
func (s *Site) State() *publish.State {
	s.t.Helper()
	st, err := s.Read(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// Put publishes text to rings and returns its generation.
func (s *Site) Put(text string, rings ...string) uint64 {
	s.t.Helper()
	heads, err := s.Publish(s.t.Context(), s.State(), Config, publish.Change{Rings: rings, Content: []byte(text), By: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	return heads[0].Generation
}

// Off publishes an override that switches a candidate off for an hour.
func (s *Site) Off(candidate string) {
	s.t.Helper()
	now := time.Now().UTC()
	if s.Now != nil {
		now = s.Now()
	}
	list := []publication.Override{{ID: "x", Action: publication.Off, Candidate: candidate, Why: "dead", By: "test", From: now, Until: now.Add(time.Hour)}}
	if _, err := s.SetOverrides(s.t.Context(), s.State(), Override, list); err != nil {
		s.t.Fatal(err)
	}
}

// Handler serves the directory.
func (s *Site) Handler() http.Handler { return http.FileServer(http.Dir(s.Dir)) }
