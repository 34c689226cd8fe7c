package publication_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
)

var (
	now  = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	meta = publication.Meta{Version: 1, Deployment: publicationtest.Deployment, Generation: 2, SignedAt: now}
)

// An override that begins in the future would hold at once, and until its far end.
func TestAnOverrideCannotLastLongerByABeginInTheFuture(t *testing.T) {
	for from, ok := range map[time.Duration]bool{
		-time.Hour: true, 0: true, publication.MaxSkew: true, // another operator's clock
		publication.MaxSkew + time.Second: false, 365 * 24 * time.Hour: false,
	} {
		o := publication.Overrides{Meta: meta, Overrides: []publication.Override{{
			ID: "x", Action: publication.Off, Candidate: "s3", Why: "w", By: "b", From: now.Add(from), Until: now.Add(from + publication.MaxOverride),
		}}}
		if err := o.Check(); (err == nil) != ok {
			t.Errorf("from %s: %v", from, err)
		}
	}
}

// Whoever steals a key may publish the highest generation that there is. Its owner must be able to publish a higher one
// soon after.
func TestAThiefOfAKeyLocksNobodyOut(t *testing.T) {
	trust := &publication.Trust{Deployment: publicationtest.Deployment, Roots: []ed25519.PublicKey{publicationtest.Root.Public()}}
	keys := &publication.Keys{
		Meta: meta, Config: []publication.NamedKey{{Name: "ci", Key: key.Format(publicationtest.Config.Public())}},
		Override: []publication.NamedKey{{Name: "on call", Key: key.Format(publicationtest.Override.Public())}},
	}
	text, err := publication.Sign(t.Context(), publicationtest.Root, keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.AcceptKeys(text, now); err != nil {
		t.Fatal(err)
	}
	publish := func(generation uint64, signed, at time.Time) error {
		h := &publication.Head{
			Meta: meta, Ring: "all", SHA256: publication.Hash(nil), Bytes: 1, PublishedAt: now,
		}
		h.Generation, h.SignedAt = generation, signed
		text, err := publication.Sign(t.Context(), publicationtest.Config, h)
		if err == nil {
			_, err = trust.AcceptHead("all", text, at)
		}
		return err
	}
	most := uint64(0)
	ahead := now.Add(publication.MaxSkew)
	for bit := 53; bit >= 0; bit-- { // the highest that is accepted
		if try := most | 1<<bit; publish(try, ahead, now) == nil {
			most = try
		}
	}
	if most < 1<<20 {
		t.Errorf("generation %d is the highest that counts", most)
	}
	later := ahead.Add(time.Second)
	if err := publish(most+1, later, later.Add(-publication.MaxSkew)); err != nil {
		t.Errorf("after %d: %v", most, err)
	}
}
