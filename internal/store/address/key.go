package address

import (
	"fmt"
	"strings"
)

// Where things lie in a store, below the prefix of the bucket's URL (docs/inventory.md, docs/mirroring.md).
const (
	BlobPrefix      = "containers/images/" // one object for each blob, named by its digest
	InventoryPrefix = "inventory/"         // what the store holds, beside the blobs
)

// maxKey is the longest key that every provider takes (S3, GCS: 1024 bytes).
const maxKey = 1024

// CheckKey accepts keys that mean the same in every store, including a directory.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("key %q: must have 1 to %d bytes", key, maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("key %q: empty or dot segment", key)
		}
	}
	return nil
}
