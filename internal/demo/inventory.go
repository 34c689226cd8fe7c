package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// inventoryRoot is the path of the inventory in each store.
const inventoryRoot = "/inventory/"

// published is a store's inventory. It has one segment, because nothing in this world ever changes. Its head is
// written for each request, so it looks like the work of a mirror that runs every few minutes.
type published struct {
	store   string
	ref     inventory.SegmentRef
	segment []byte
}

// publish writes the list of blobs. The server's binary does not link the inventory writer: for one segment that
// never changes, the format is enough.
func publish(store string, blobs map[string]content) *published {
	var records []inventory.Record
	for _, name := range slices.Sorted(maps.Keys(blobs)) { // hexadecimal sorts in the same order as bytes
		d, err := oci.ParseDigest(name)
		if err != nil {
			panic("demo: a blob's name is no digest: " + err.Error())
		}
		records = append(records, inventory.Record{Digest: d, Size: int64(len(blobs[name].data)), Kind: inventory.Blob})
	}
	header := inventory.Header{Form: records[0].Form(), Count: uint64(len(records))}
	b := header.Append(nil)
	for _, r := range records {
		b = inventory.AppendRecord(b, r)
	}
	sum := sha256.Sum256(b)
	return &published{
		store: store, segment: b,
		ref: inventory.SegmentRef{SHA256: hex.EncodeToString(sum[:]), Count: header.Count, Bytes: header.Bytes()},
	}
}

// rewritten is the interval at which the head gets a new time.
const rewritten = 10 * time.Minute

// object returns the content at path below the inventory's URL, or nil if there is none.
func (p *published) object(path string, now time.Time) []byte {
	switch path {
	case inventory.HeadName:
		at := now.UTC().Truncate(rewritten)
		body, err := json.Marshal(inventory.Head{
			Version: inventory.HeadVersion, Store: p.store, Generation: uint64(at.Unix()), WrittenAt: at,
			Segments: []inventory.SegmentRef{p.ref},
		})
		if err != nil {
			return nil // unreachable: every field of a head can be encoded
		}
		return body
	case inventory.SegmentPrefix + p.ref.SHA256:
		return p.segment
	}
	return nil
}
