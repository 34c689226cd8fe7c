package store

import "ociproxy/internal/oci"

// Where things lie in a store (docs/inventory.md, docs/mirroring.md), below what the bucket's URL names.
const (
	BlobPrefix      = "containers/images/" // one object a blob, named by its digest
	InventoryPrefix = "inventory/"         // what the store holds, beside the blobs
)

// BlobKey is the key of a blob: "containers/images/sha256:…".
func BlobKey(d oci.Digest) string { return BlobPrefix + d.String() }

// BlobHeader is what every blob is stored with: caches may keep it for good, and nothing on the way may change its bytes.
var BlobHeader = Header{
	ContentType:  "application/octet-stream",
	CacheControl: "public, max-age=31536000, immutable, no-transform",
}
