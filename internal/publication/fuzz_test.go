package publication_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
)

// FuzzTrust: whatever payload the right keys have signed, and whatever text comes without a signature, Trust neither
// panics nor lets a generation fall.
func FuzzTrust(f *testing.F) {
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	meta := publication.Meta{Version: 1, Deployment: publicationtest.Deployment, Generation: 2, SignedAt: now}
	keys := &publication.Keys{
		Meta: meta, Config: []publication.NamedKey{{Name: "ci", Key: key.Format(publicationtest.Config.Public())}},
		Override: []publication.NamedKey{{Name: "on call", Key: key.Format(publicationtest.Override.Public())}},
	}
	signed, err := publication.Sign(f.Context(), publicationtest.Root, keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":1,"deployment":"prod","generation":3,"signedAt":"2026-11-30T00:00:00Z","ring":"all","sha256":"` +
		publication.Hash(nil) + `","bytes":1,"publishedAt":"2026-11-30T00:00:00Z"}`))
	f.Add([]byte(`{"version":1,"deployment":"prod","generation":1,"signedAt":"2026-11-30T00:00:00Z","overrides":[{"id":"x","action":"off",` +
		`"candidate":"s3","why":"w","by":"b","from":"2026-11-30T00:00:00Z","until":"2026-11-30T01:00:00Z"}]}`))
	f.Add(signed)
	f.Fuzz(func(t *testing.T, payload []byte) {
		trust := &publication.Trust{Deployment: publicationtest.Deployment, Roots: []ed25519.PublicKey{publicationtest.Root.Public()}}
		if _, err := trust.AcceptKeys(signed, now); err != nil {
			t.Fatal(err)
		}
		first, err := envelope.SignWith(t.Context(), publicationtest.Config, publication.HeadType, payload)
		if err != nil {
			return // larger than an envelope may be
		}
		for _, text := range [][]byte{first, payload} {
			if h, err := trust.AcceptHead("all", text, now); (err == nil) != (h != nil && h.Check() == nil && h.Ring == "all") {
				t.Errorf("%+v, %v", h, err)
			}
		}
		text, err := envelope.SignWith(t.Context(), publicationtest.Override, publication.OverridesType, payload)
		if err != nil {
			return
		}
		if o, err := trust.AcceptOverrides(text, now); (err == nil) != (o != nil && o.Check() == nil) {
			t.Errorf("%+v, %v", o, err)
		}
		if text, err = envelope.SignWith(t.Context(), publicationtest.Root, publication.KeysType, payload); err != nil {
			return
		}
		if k, err := trust.AcceptKeys(text, now); err == nil && k.Generation < 2 || trust.KeySet().Generation < 2 {
			t.Errorf("the generation fell: %+v", k)
		}
	})
}
