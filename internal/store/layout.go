package store

import "ociproxy/internal/oci"

// Where things lie in a store, below the prefix of the bucket's URL (docs/inventory.md, docs/mirroring.md).
const (
	BlobPrefix      = "containers/images/" // one object for each blob, named by its digest
	InventoryPrefix = "inventory/"         // what the store holds, beside the blobs
)

// BlobKey is the key of a blob: "containers/images/sha256:…".
func BlobKey(d oci.Digest) string { return BlobPrefix + d.String() }

// BlobHeader is stored with every blob: caches may keep it forever, and no proxy on the way may change its bytes.
var BlobHeader = Header{
	ContentType:  "application/octet-stream",
	CacheControl: "public, max-age=31536000, immutable, no-transform",
}
