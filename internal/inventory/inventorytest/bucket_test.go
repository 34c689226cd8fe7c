package inventorytest

import (
	"testing"

	"ociproxy/internal/inventory"
)

func TestBucket(t *testing.T) {
	Conform(t, func(*testing.T) inventory.Bucket { return &Bucket{} })
}
