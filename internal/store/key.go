package store

import (
	"fmt"
	"strings"
)

// maxKey is the longest key that every provider takes (S3, GCS: 1024 bytes).
const maxKey = 1024

// checkKey accepts keys that mean the same in every store, including a directory.
func checkKey(key string) error {
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
