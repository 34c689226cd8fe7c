package store

import (
	"ociproxy/internal/oci"
	"ociproxy/internal/store/address"
)

// Where things lie in a store, below the prefix of the bucket's URL.
const (
	BlobPrefix      = address.BlobPrefix
	InventoryPrefix = address.InventoryPrefix
)

// BlobKey is the key of a blob: "containers/images/sha256:…".
func BlobKey(d oci.Digest) string { return BlobPrefix + d.String() }

// BlobHeader is stored with every blob: caches may keep it forever, and no proxy on the way may change its bytes.
var BlobHeader = Header{
	ContentType:  "application/octet-stream",
	CacheControl: "public, max-age=31536000, immutable, no-transform",
}
