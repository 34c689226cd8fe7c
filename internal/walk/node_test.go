package walk

import (
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

func TestKeys(t *testing.T) {
	a := digest(t, "sha256:"+strings.Repeat("0a", 32))
	b := digest(t, "sha512:"+strings.Repeat("0a", 64))
	if KeyOf(a) == KeyOf(b) || KeyOf(a) == KeyOf(oci.Digest{}) || KeyOf(a)[0] != 0x0a {
		t.Error("keys")
	}
}
