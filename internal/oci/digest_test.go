package oci_test

import (
	"encoding/json"
	"testing"

	"ociproxy/internal/oci"
)

func TestDigest(t *testing.T) {
	for _, test := range []struct {
		s, algorithm, hex string
		inStores          bool
	}{
		{sha256, "sha256", hex64, true},
		{sha512, "sha512", hex64 + hex64, true},
		{blake3, "blake3", hex64, false},
		{"sha256+b64u:LCa0a2j_xo", "sha256+b64u", "LCa0a2j_xo", false},
	} {
		d := digest(test.s)
		if d.String() != test.s || d.Algorithm() != test.algorithm || d.Hex() != test.hex || d.InStores() != test.inStores || d.IsZero() {
			t.Errorf("%s: %q %q in stores %v, zero %v", test.s, d.Algorithm(), d.Hex(), d.InStores(), d.IsZero())
		}
	}
	var zero oci.Digest
	if !zero.IsZero() || zero.InStores() || zero.Algorithm() != "" || zero.Hex() != "" {
		t.Error("the zero Digest must be nothing")
	}
}

func TestDigestText(t *testing.T) {
	text, err := json.Marshal(digest(sha256))
	if err != nil {
		t.Fatal(err)
	}
	var got oci.Digest
	if err := json.Unmarshal(text, &got); err != nil || got != digest(sha256) {
		t.Errorf("read back %v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`"sha256:0"`), &got); err == nil || !got.IsZero() {
		t.Errorf("a bad digest was read as %v, %v", got, err)
	}
}
