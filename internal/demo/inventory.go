package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ociproxy/internal/inventory"
)

// inventoryRoot is where stores publish what they hold.
const inventoryRoot = "/inventory/"

// published is a store's inventory: one segment, since nothing in this world ever changes, and a head that is
// written when somebody asks, as if a mirror passed by every few minutes.
type published struct {
	store   string
	ref     inventory.SegmentRef
	segment []byte
}

// publish writes the list of blobs. The server's binary links no writer of inventories, so the demo has these few lines of
// its own; the format is the one package inventory describes, and a test reads it back.
func publish(store string, blobs map[string]content) *published {
	const recordLen = sha256.Size + 6
	digests := slices.Sorted(maps.Keys(blobs)) // hexadecimal sorts as bytes do
	b := []byte("ocipinv\n")
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint16(b, recordLen)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(len(digests)))
	for _, d := range digests {
		sum := sha256.Sum256(blobs[d].data)
		size := uint64(len(blobs[d].data))
		b = append(b, sum[:]...)
		b = append(b, byte(size>>32))
		b = binary.BigEndian.AppendUint32(b, uint32(size))
		b = append(b, byte(inventory.Blob))
	}
	sum := sha256.Sum256(b)
	return &published{
		store: store, segment: b,
		ref: inventory.SegmentRef{SHA256: hex.EncodeToString(sum[:]), Count: uint64(len(digests)), Bytes: int64(len(b))},
	}
}

// rewritten is how often the head gets a new time.
const rewritten = 10 * time.Minute

// object returns what lies at path below the inventory's URL; nil: nothing.
func (p *published) object(path string, now time.Time) []byte {
	switch path {
	case inventory.HeadName:
		at := now.UTC().Truncate(rewritten)
		body, err := json.Marshal(inventory.Head{
			Version: 1, Store: p.store, Generation: uint64(at.Unix()), WrittenAt: at,
			Segments: []inventory.SegmentRef{p.ref},
		})
		if err != nil {
			return nil // no field of a head can fail to encode
		}
		return body
	case inventory.SegmentPrefix + p.ref.SHA256:
		return p.segment
	}
	return nil
}
