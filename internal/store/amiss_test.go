package store

import (
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

func TestAmiss(t *testing.T) {
	hex := func(text string) string { d := oci.Sum("sha256", []byte(text)); return d.Hex() }
	for _, tt := range []struct {
		d    oci.Digest
		a    Attrs
		want string // part of the reason
	}{
		{oci.Sum("sha256", []byte("x")), Attrs{Size: 1}, ""},
		{oci.Sum("sha256", []byte("x")), Attrs{Size: 1, SHA256: hex("x")}, ""},
		{oci.Sum("sha256", []byte("x")), Attrs{Size: 1, SHA256: hex("y")}, "have the digest sha256:" + hex("y")},
		{oci.Sum("sha256", []byte("x")), Attrs{}, "is empty"},
		{oci.Sum("sha512", []byte("x")), Attrs{}, "is empty"},
		{oci.Sum("sha512", []byte("x")), Attrs{Size: 1, SHA256: hex("y")}, ""}, // no proof for sha512
		{oci.Sum("sha256", nil), Attrs{}, ""},
		{oci.Sum("sha512", nil), Attrs{}, ""},
		{oci.Sum("sha256", nil), Attrs{Size: 1}, "digest of nothing"},
		{oci.Sum("sha512", nil), Attrs{Size: 1}, "digest of nothing"},
	} {
		if got := Amiss(tt.d, tt.a); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s, %+v: %q, want %q", tt.d, tt.a, got, tt.want)
		}
	}
}
