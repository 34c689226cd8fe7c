package store

import (
	"fmt"

	"ociproxy/internal/oci"
)

// Amiss returns why an object is not the blob that its name says, as far as its attributes show it; "" means no reason.
func Amiss(d oci.Digest, a Attrs) string {
	if a.SHA256 != "" && d.Algorithm() == "sha256" && a.SHA256 != d.Hex() {
		return "its bytes have the digest sha256:" + a.SHA256 + ", says the store"
	}
	return SizeAmiss(d, a.Size)
}

// SizeAmiss returns why a blob cannot have this size, in bytes; "" means no reason. Empty content has one digest, and
// no other content has that digest.
func SizeAmiss(d oci.Digest, size int64) string {
	switch nothing := d == oci.Sum(d.Algorithm(), nil); {
	case size == 0 && !nothing:
		return "it is empty, and its name is not the digest of nothing"
	case size > 0 && nothing:
		return fmt.Sprintf("it has %d bytes, and its name is the digest of nothing", size)
	}
	return ""
}
