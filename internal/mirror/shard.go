package mirror

import (
	"encoding/binary"

	"ociproxy/internal/oci"
	"ociproxy/internal/shard"
	"ociproxy/internal/walk"
)

// mine reports whether a blob belongs to a shard. Every shard walks the whole source, copies its own part, and needs to
// know nothing about the others.
func mine(s shard.Shard, d oci.Digest) bool {
	k := walk.KeyOf(d)
	return s.Mine(binary.BigEndian.Uint64(k[:8]))
}
