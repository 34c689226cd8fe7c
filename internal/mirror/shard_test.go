package mirror

import (
	"fmt"
	"testing"

	"ociproxy/internal/oci"
	"ociproxy/internal/shard"
)

// Each blob is one shard's, and shards are about as large as each other.
func TestShardsPartition(t *testing.T) {
	const shards, blobs = 7, 7000
	var sizes [shards]int
	for i := range blobs {
		d := digest(t, sumOf(fmt.Sprint(i)))
		owners := 0
		for s := range shards {
			if mine(shard.Shard{Index: s, Of: shards}, d) {
				owners++
				sizes[s]++
			}
		}
		if owners != 1 {
			t.Fatalf("%s has %d owners", d, owners)
		}
	}
	for s, n := range sizes {
		if n < 850 || n > 1150 {
			t.Errorf("shard %d has %d of %d", s, n, blobs)
		}
	}
	if !mine(shard.Shard{}, oci.Digest{}) {
		t.Error("without shards something is not ours")
	}
}
