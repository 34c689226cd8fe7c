package oci_test

import (
	"io"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// The digests of "abc" are those of FIPS 180-2, appendix B.1 and C.1.
const (
	abc256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	abc512 = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)

func TestHash(t *testing.T) {
	for _, test := range []struct {
		name, digest, text string
		want               bool
	}{
		{"sha256", abc256, "abc", true},
		{"sha256, other bytes", abc256, "abd", false},
		{"sha256, nothing", abc256, "", false},
		{"sha512", abc512, "abc", true},
		{"sha512, other bytes", abc512, "ab", false},
		{"unknown", blake3, "abc", false},
		{"unknown, with the sum of another", "blake3:" + strings.TrimPrefix(abc256, "sha256:"), "abc", false},
		{"unknown, nothing", "x:y", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := digest(test.digest)
			h := d.Hash()
			if n, err := io.Copy(h, strings.NewReader(test.text)); n != int64(len(test.text)) || err != nil {
				t.Fatalf("wrote %d bytes, error %v", n, err)
			}
			if got := d.Matches(h); got != test.want {
				t.Errorf("matches: got %v, want %v", got, test.want)
			}
		})
	}
	var zero oci.Digest
	if zero.Matches(zero.Hash()) {
		t.Error("the zero Digest matches nothing")
	}
}

func TestSum(t *testing.T) {
	for _, test := range []struct {
		algorithm string
		want      oci.Digest
	}{
		{"sha256", digest(abc256)},
		{"sha512", digest(abc512)},
		{"blake3", oci.Digest{}},
		{"", oci.Digest{}},
	} {
		if got := oci.Sum(test.algorithm, []byte("abc")); got != test.want {
			t.Errorf("%q: got %v, want %v", test.algorithm, got, test.want)
		}
	}
}
