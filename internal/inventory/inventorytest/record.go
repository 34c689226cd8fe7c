package inventorytest

import (
	"fmt"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// Digest makes digest i. Every third is sha512.
func Digest(i int) oci.Digest {
	text := fmt.Sprintf("sha256:%064x", i)
	if i%3 == 0 {
		text = fmt.Sprintf("sha512:%0128x", i)
	}
	d, err := oci.ParseDigest(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Blob returns a record that blob i is held.
func Blob(i int) inventory.Record {
	return inventory.Record{Digest: Digest(i), Size: int64(i), Kind: inventory.Blob}
}

// Gone returns a record that blob i is no longer held.
func Gone(i int) inventory.Record {
	return inventory.Record{Digest: Digest(i), Kind: inventory.Tombstone}
}

// Holding is the oracle of one store: the size of each blob that it holds.
type Holding map[oci.Digest]int64

// Apply does what a writer's Apply does.
func (h Holding) Apply(records ...inventory.Record) {
	for _, r := range records {
		if delete(h, r.Digest); r.Kind == inventory.Blob {
			h[r.Digest] = r.Size
		}
	}
}
