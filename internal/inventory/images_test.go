package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/oci"
)

// TestImagesAgainstMap writes blobs, tombstones and images of the same digests through writers of several stores, removes at
// random, lets inventories be compacted, and compares both tables with maps each time, read anew and grown by [Table.With].
func TestImagesAgainstMap(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) { imagesAgainstMap(t, dir, rand.New(rand.NewPCG(seed, 5))) })
		}
	}
}

func imagesAgainstMap(t *testing.T, dir string, rng *rand.Rand) {
	const stores, rounds = 4, 14
	blobs, images := make(model, stores), make(model, stores)
	var holders []Holder
	for i := range stores {
		blobs[i], images[i] = map[oci.Digest]int64{}, map[oci.Digest]int64{}
		w := NewWriter(&memoryBucket{}, WriterOptions{Store: fmt.Sprint("s", i), TempDir: t.TempDir()})
		holders = append(holders, Holder{Writer: w, Index: 3 * i})
	}
	grown := &Gathered{Blobs: &Table{}, Images: &Table{images: true}}
	for round := range rounds {
		batch := randomBatch(rng, 200)
		for range rng.IntN(30) {
			n := rng.IntN(200)
			batch = append(batch, Record{digestOf(n), int64(n), Image})
		}
		rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		more := map[int][]Record{}
		var without Set
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
					more[h.Index] = append(more[h.Index], Record{Digest: d, Kind: Tombstone})
				}
				clear(images[i])
				without.Add(h.Index)
			default:
				_, err = h.Writer.Apply(t.Context(), batch...)
				for _, r := range batch {
					if r.Kind == Image {
						images[i][r.Digest] = r.Size
					} else {
						blobs.apply(i, []Record{r})
					}
				}
				more[h.Index] = batch
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if grown.Blobs, err = grown.Blobs.With(dir, Set{}, more); err != nil {
			t.Fatal(err)
		}
		if grown.Images, err = grown.Images.With(dir, without, more); err != nil {
			t.Fatal(err)
		}
		g, err := Gather(t.Context(), NewSegments(dir, 0, nil), holders, dir)
		if err != nil {
			t.Fatal(err)
		}
		for what, tables := range map[string]*Gathered{"read": g, "grown": grown} {
			compareTable(t, fmt.Sprint(what, " blobs, round ", round), blobs, Blob, tables.Blobs)
			compareTable(t, fmt.Sprint(what, " images, round ", round), images, Image, tables.Images)
		}
		comparePrefix(t, g.Blobs)
	}
}

// compareTable expects the stores' indices to be three times their number.
func compareTable(t *testing.T, what string, held model, kind Kind, table *Table) {
	t.Helper()
	want := map[oci.Digest]Entry{}
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
	if d := cmp.Diff(want, list(table), cmpopts.EquateComparable(oci.Digest{})); d != "" {
		t.Fatalf("%s (-want +got)\n%s", what, d)
	}
}

func comparePrefix(t *testing.T, table *Table) {
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

// An image is as long as its form says, and nothing else is among images.
func TestImageSegments(t *testing.T) {
	all := shelf{}
	ref := all.add(t, Record{sha256Of(1), 7, Image}, Record{sha256Of(2), 8, Image})[0]
	if !ref.Images() || ref.Bytes != headerLen+2*39 {
		t.Errorf("segment %+v", ref)
	}
	whole := all[ref.SHA256]
	for name, at := range map[string]int{"kind": headerLen + 37, "last byte": headerLen + 38, "last byte of the last": headerLen + 77} {
		body := slices.Clone(whole)
		body[at] ^= 1
		var err error
		for _, err = range Records(strings.NewReader(string(body))) {
		}
		if err == nil || !strings.Contains(err.Error(), "among images") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// Among blobs there is no image.
	ref = all.add(t, Record{sha256Of(1), 7, Blob})[0]
	body := slices.Clone(all[ref.SHA256])
	body[headerLen+37] = byte(Image)
	var err error
	for _, err = range Records(strings.NewReader(string(body))) {
	}
	if err == nil || !strings.Contains(err.Error(), "unknown image") {
		t.Errorf("an image among blobs: error %v", err)
	}
}
