package inventorytest

import (
	"testing"

	"ociproxy/internal/inventory/write"
)

func TestBucket(t *testing.T) {
	Conform(t, func(*testing.T) write.Bucket { return &Bucket{} })
}
