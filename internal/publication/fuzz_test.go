package publication_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
)

// The keys are not those of publicationtest, because that imports the clients of the clouds, whose code the fuzzing
// engine would have to watch. Without -fuzzminimizetime (make fuzz gives it) the engine spends up to a minute on each
// new input, and tries almost none.
var rootKey, configKey, overrideKey = signer('r'), signer('c'), signer('o')

func signer(seed byte) envelope.Signer {
	return envelope.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

const deployment = "prod"

// FuzzTrust: whatever payload the right keys have signed, and whatever text comes without a signature, Trust neither
// panics nor lets a generation fall. It signs each input three times, so it tries less than 1,000 of them a second on a
// busy machine.
func FuzzTrust(f *testing.F) {
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	meta := publication.Meta{Version: 1, Deployment: deployment, Generation: 2, SignedAt: now}
	keys := &publication.Keys{
		Meta: meta, Config: []publication.NamedKey{{Name: "ci", Key: key.Format(configKey.Public())}},
		Override: []publication.NamedKey{{Name: "on call", Key: key.Format(overrideKey.Public())}},
	}
	signed, err := publication.Sign(f.Context(), rootKey, keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"version":1,"deployment":"prod","generation":3,"signedAt":"2026-11-30T00:00:00Z","ring":"all","sha256":"` +
		publication.Hash(nil) + `","bytes":1,"publishedAt":"2026-11-30T00:00:00Z"}`))
	f.Add([]byte(`{"version":1,"deployment":"prod","generation":1,"signedAt":"2026-11-30T00:00:00Z","overrides":[{"id":"x","action":"off",` +
		`"candidate":"s3","why":"w","by":"b","from":"2026-11-30T00:00:00Z","until":"2026-11-30T01:00:00Z"}]}`))
	f.Add(signed)
	f.Fuzz(func(t *testing.T, payload []byte) {
		trust := &publication.Trust{Deployment: deployment, Roots: []ed25519.PublicKey{rootKey.Public()}}
		if _, err := trust.AcceptKeys(signed, now); err != nil {
			t.Fatal(err)
		}
		first, err := envelope.SignWith(t.Context(), configKey, publication.HeadType, payload)
		if err != nil {
			return // larger than an envelope may be
		}
		for _, text := range [][]byte{first, payload} {
			if h, err := trust.AcceptHead("all", text, now); (err == nil) != (h != nil && h.Check() == nil && h.Ring == "all") {
				t.Errorf("%+v, %v", h, err)
			}
		}
		text, err := envelope.SignWith(t.Context(), overrideKey, publication.OverridesType, payload)
		if err != nil {
			return
		}
		if o, err := trust.AcceptOverrides(text, now); (err == nil) != (o != nil && o.Check() == nil) {
			t.Errorf("%+v, %v", o, err)
		}
		if text, err = envelope.SignWith(t.Context(), rootKey, publication.KeysType, payload); err != nil {
			return
		}
		if k, err := trust.AcceptKeys(text, now); err == nil && k.Generation < 2 || trust.KeySet().Generation < 2 {
			t.Errorf("the generation fell: %+v", k)
		}
	})
}
