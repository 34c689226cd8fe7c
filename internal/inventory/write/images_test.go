package write_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

// TestImagesAgainstMap writes blobs, tombstones and images of the same digests through writers of several stores. It
// removes some at random and lets inventories be compacted. Each time it compares both tables with maps: tables that
// were read again, and tables that [write.Extend] extended.
func TestImagesAgainstMap(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) { imagesAgainstMap(t, dir, rand.New(rand.NewPCG(seed, 5))) })
		}
	}
}

// digestOf makes digest i. Every fifth is sha512, and some share their first eight bytes.
func digestOf(i int) oci.Digest {
	name, raw := "sha256:", make([]byte, 32)
	if i%5 == 4 {
		name, raw = "sha512:", make([]byte, 64)
	}
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	for j := range raw {
		raw[j] = byte(rng.Uint32())
	}
	if i%7 < 3 {
		copy(raw, "collides")
	}
	d, err := oci.ParseDigest(name + hex.EncodeToString(raw))
	if err != nil {
		panic(err)
	}
	return d
}

func randomBatch(rng *rand.Rand, digests int) (batch []inventory.Record) {
	for range 1 + rng.IntN(80) {
		n := rng.IntN(digests)
		r := inventory.Record{Digest: digestOf(n), Size: int64(n) * 1e9, Kind: inventory.Blob}
		if rng.IntN(4) == 0 {
			r.Size, r.Kind = 0, inventory.Tombstone
		}
		batch = append(batch, r)
	}
	return batch
}

func imagesAgainstMap(t *testing.T, dir string, rng *rand.Rand) {
	const stores, rounds = 4, 14
	blobs, images := make([]inventorytest.Holding, stores), make([]inventorytest.Holding, stores)
	var holders []write.Holder
	for i := range stores {
		blobs[i], images[i] = inventorytest.Holding{}, inventorytest.Holding{}
		w := write.New(&inventorytest.Bucket{}, write.Options{Store: fmt.Sprint("s", i), TempDir: t.TempDir()})
		holders = append(holders, write.Holder{Writer: w, Index: 3 * i})
	}
	grown := &write.Gathered{Blobs: &inventory.Table{}, Images: inventory.NewImages()}
	for round := range rounds {
		batch := randomBatch(rng, 200)
		for range rng.IntN(30) {
			n := rng.IntN(200)
			batch = append(batch, inventory.Record{Digest: digestOf(n), Size: int64(n), Kind: inventory.Image})
		}
		rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		more := map[int][]inventory.Record{}
		var without set.Set
		for i, h := range holders {
			var err error
			switch rng.IntN(8) {
			case 0: // left out
				continue
			case 1:
				gone := []oci.Digest{digestOf(rng.IntN(200)), digestOf(rng.IntN(200))}
				_, err = h.Writer.Remove(t.Context(), gone...)
				for _, d := range gone {
					delete(blobs[i], d)
					more[h.Index] = append(more[h.Index], inventory.Record{Digest: d, Kind: inventory.Tombstone})
				}
				clear(images[i])
				without.Add(h.Index)
			default:
				_, err = h.Writer.Apply(t.Context(), batch...)
				for _, r := range batch {
					if r.Kind == inventory.Image {
						images[i][r.Digest] = r.Size
					} else {
						blobs[i].Apply(r)
					}
				}
				more[h.Index] = batch
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if grown.Blobs, err = write.Extend(grown.Blobs, dir, set.Set{}, more); err != nil {
			t.Fatal(err)
		}
		if grown.Images, err = write.Extend(grown.Images, dir, without, more); err != nil {
			t.Fatal(err)
		}
		g, err := write.Gather(t.Context(), inventory.NewSegments(dir, 0, nil), holders, dir)
		if err != nil {
			t.Fatal(err)
		}
		for what, tables := range map[string]*write.Gathered{"read": g, "grown": grown} {
			compareTable(t, fmt.Sprint(what, " blobs, round ", round), blobs, inventory.Blob, tables.Blobs)
			compareTable(t, fmt.Sprint(what, " images, round ", round), images, inventory.Image, tables.Images)
		}
		comparePrefix(t, g.Blobs)
	}
}

// compareTable compares a table with the stores' holdings. A store's index is three times its number.
func compareTable(t *testing.T, what string, held []inventorytest.Holding, kind inventory.Kind, table *inventory.Table) {
	t.Helper()
	want := map[oci.Digest]inventory.Entry{}
	for i, h := range held {
		for d, size := range h {
			e := want[d]
			e.Stores.Add(3 * i)
			e.Size, e.Kind = size, kind
			want[d] = e
		}
		if table.Held(3*i) != len(h) {
			t.Fatalf("%s: store %d has %d, want %d", what, i, table.Held(3*i), len(h))
		}
	}
	if d := cmp.Diff(want, maps.Collect(table.All()), cmpopts.EquateComparable(oci.Digest{})); d != "" {
		t.Fatalf("%s (-want +got)\n%s", what, d)
	}
}

func comparePrefix(t *testing.T, table *inventory.Table) {
	t.Helper()
	for _, prefix := range []string{"sha256:", "sha512:", "sha256:6", "sha256:63", "sha512:f", "sha384:", "sha256:636f6c6c69646573"} {
		var want, got []string
		for d := range table.All() {
			if strings.HasPrefix(d.String(), prefix) {
				want = append(want, d.String())
			}
		}
		for d := range table.Prefix(prefix) {
			got = append(got, d.String())
		}
		if !slices.Equal(want, got) {
			t.Fatalf("prefix %s: %q, want %q", prefix, got, want)
		}
	}
}
