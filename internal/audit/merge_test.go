package audit

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/internal/walk"
)

func parse(t *testing.T, text string) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func records(held map[oci.Digest]int64) iter.Seq2[inventory.Record, error] {
	return func(yield func(inventory.Record, error) bool) {
		for _, d := range sorted(held) {
			if !yield(inventory.Record{Digest: d, Size: held[d], Kind: inventory.Blob}, nil) {
				return
			}
		}
	}
}

func objects(held map[oci.Digest]int64) iter.Seq2[store.Attrs, error] {
	return func(yield func(store.Attrs, error) bool) {
		for _, d := range sorted(held) {
			if !yield(store.Attrs{Key: store.BlobKey(d), Size: held[d]}, nil) {
				return
			}
		}
	}
}

func sorted(held map[oci.Digest]int64) []oci.Digest {
	var list []oci.Digest
	for d := range held {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b oci.Digest) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// naive returns the class of one digest from the definitions of the classes, without a merge.
func naive(want, record, object int64, listed bool) Class {
	needed, inInventory, there := want != absent, record != absent, !listed || object != absent
	size := want
	if size < 0 {
		size = record
	}
	wrong := func(n int64) bool { return n >= 0 && size >= 0 && n != size }
	says := map[int64]bool{}
	if record >= 0 {
		says[record] = true
	}
	if listed && object >= 0 {
		says[object] = true
	}
	switch {
	case want >= 0 && there && len(says) == 1 && !says[want] && record != notKnown:
		return Disputed
	case inInventory && !there:
		return Lost
	case needed && (!there || !listed && !inInventory):
		return Missing
	case listed && wrong(object), wrong(record), record == notKnown:
		return Short
	case !needed:
		return Unexpected
	case !inInventory:
		return Unlisted
	}
	return ""
}

// TestRows compares the merge of three ascending lists, and its verdicts, with maps and definitions.
func TestRows(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		n := &needs{}
		want, recorded, there := map[oci.Digest]int64{}, map[oci.Digest]int64{}, map[oci.Digest]int64{}
		all := map[oci.Digest]bool{}
		for range rng.IntN(25) {
			text := fmt.Sprintf("sha256:%064x", rng.IntN(30))
			if rng.IntN(4) == 0 {
				text = fmt.Sprintf("sha512:%0128x", rng.IntN(30))
			}
			d := parse(t, text)
			if all[d] {
				continue
			}
			all[d] = true
			if rng.IntN(4) > 0 {
				want[d] = rng.Int64N(3)
				if want[d] == 0 {
					want[d] = notKnown
				}
				n.add(walk.Image{Repository: "r", Digest: d, Blobs: []walk.Blob{{Digest: d, Size: want[d]}}}, func(oci.Digest) bool { return true })
			}
			if rng.IntN(4) > 0 {
				recorded[d] = []int64{1, 2, 1, 2, notKnown}[rng.IntN(5)]
			}
			if rng.IntN(4) > 0 {
				there[d] = 1 + rng.Int64N(2)
			}
		}
		listed := rng.IntN(2) == 0
		l := lists{records: records(recorded), foreign: func(a store.Attrs) { t.Errorf("seed %d: foreign %s", seed, a.Key) }}
		if listed {
			l.objects = objects(there)
		}
		wanted, got := map[string]Class{}, map[string]Class{}
		for d := range all {
			size := func(m map[oci.Digest]int64) int64 {
				if s, ok := m[d]; ok {
					return s
				}
				return absent
			}
			object := size(there)
			if _, w := want[d]; !w && size(recorded) == absent && (!listed || object == absent) {
				continue
			}
			wanted[d.String()] = naive(size(want), size(recorded), object, listed)
		}
		last := ""
		for r, err := range rows(n, n.ascending(), l) {
			if err != nil {
				t.Fatal(err)
			}
			if r.digest.String() <= last {
				t.Errorf("seed %d: %s after %s", seed, r.digest, last)
			}
			last = r.digest.String()
			got[last], _ = r.judge()
		}
		if diff := gocmp.Diff(wanted, got); diff != "" {
			t.Fatalf("seed %d, listed %v (-want +got)\n%s", seed, listed, diff)
		}
	}
}

// TestRowsFail: a list that breaks off or is out of order ends the merge with an error. Anything after that would be
// wrong.
func TestRowsFail(t *testing.T) {
	broken := errors.New("broken")
	one, two := parse(t, fmt.Sprintf("sha256:%064x", 1)), parse(t, fmt.Sprintf("sha256:%064x", 2))
	list := func(ds ...oci.Digest) iter.Seq2[inventory.Record, error] {
		return func(yield func(inventory.Record, error) bool) {
			for _, d := range ds {
				if d.IsZero() {
					yield(inventory.Record{}, broken)
					return
				}
				if !yield(inventory.Record{Digest: d, Kind: inventory.Blob}, nil) {
					return
				}
			}
		}
	}
	for name, seq := range map[string]iter.Seq2[inventory.Record, error]{
		"at once": list(oci.Digest{}), "later": list(one, oci.Digest{}), "out of order": list(two, one), "twice": list(one, one),
	} {
		var got error
		for _, err := range rows(&needs{}, nil, lists{records: seq}) {
			got = err
		}
		if got == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSizes: a size that manifests state for one blob counts as long as they agree.
func TestSizes(t *testing.T) {
	d := parse(t, fmt.Sprintf("sha256:%064x", 1))
	for _, tt := range []struct {
		say  []int64
		want int64
	}{
		{[]int64{5}, 5}, {[]int64{-1}, notKnown}, {[]int64{-1, 5}, 5}, {[]int64{5, -1, 5}, 5}, {[]int64{5, 6}, notKnown}, {[]int64{5, 6, 5}, notKnown}, {[]int64{0, 0}, 0},
	} {
		n := &needs{}
		for _, size := range tt.say {
			n.add(walk.Image{Blobs: []walk.Blob{{Digest: d, Size: size}}}, func(oci.Digest) bool { return true })
		}
		if got := n.blobs[0].size; got != tt.want || len(n.blobs) != 1 {
			t.Errorf("%v: size %d of %d blobs, want %d", tt.say, got, len(n.blobs), tt.want)
		}
	}
}

// TestCodes: no sum of codes is a code for usage or config, or one that shells use.
func TestCodes(t *testing.T) {
	classes := Classes()
	for set := range 1 << len(classes) {
		r := Report{Stores: []StoreReport{{Found: map[Class]Totals{}}}}
		for i, c := range classes {
			if set&(1<<i) != 0 {
				r.Stores[0].Found[c] = Totals{Blobs: 1}
			}
		}
		code := r.code(nil)
		if code == 2 || code == 3 || code > 125 || (code == 0) != (set == 0) {
			t.Errorf("code %d of set %b", code, set)
		}
	}
}
