package inspect

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// held is what a store holds, by digest.
type held map[string]int64

// records yields h in the way an inventory does.
func (h held) records(t *testing.T) iter.Seq2[inventory.Record, error] {
	t.Helper()
	var all []inventory.Record
	for text, size := range h {
		d, err := oci.ParseDigest(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, inventory.Record{Digest: d, Size: size, Kind: inventory.Blob})
	}
	slices.SortFunc(all, func(a, b inventory.Record) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	return func(yield func(inventory.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func sized(h held, digest string) int64 {
	if n, ok := h[digest]; ok {
		return n
	}
	return Absent
}

// TestCompare compares the merge of two ascending lists with two maps.
func TestCompare(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b := held{}, held{}
		for range rng.IntN(30) {
			digest := fmt.Sprintf("sha256:%064x", rng.IntN(20))
			if rng.IntN(3) == 0 {
				digest = fmt.Sprintf("sha512:%0128x", rng.IntN(20))
			}
			store := []held{a, b}[rng.IntN(2)]
			store[digest] = rng.Int64N(2)
			if rng.IntN(2) == 0 {
				a[digest], b[digest] = 7, 7
			}
		}
		want := held{}
		var sum Comparison
		all := maps.Clone(a)
		maps.Copy(all, b)
		for digest := range all {
			x, y := sized(a, digest), sized(b, digest)
			if x != y {
				want[digest] = 1000*x + y
			}
			switch {
			case x == y:
				sum.Both.Add(x)
			case y == Absent:
				sum.OnlyA.Add(x)
			case x == Absent:
				sum.OnlyB.Add(y)
			default:
				sum.Resized.Add(x)
			}
		}
		got := held{}
		last := ""
		gotSum, err := compare(a.records(t), b.records(t), func(d Difference) error {
			if d.Digest.String() <= last {
				t.Errorf("seed %d: %s after %s", seed, d.Digest, last)
			}
			last = d.Digest.String()
			got[last] = 1000*d.A + d.B
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d (-want +got)\n%s", seed, diff)
		}
		if diff := cmp.Diff(sum, gotSum); diff != "" {
			t.Errorf("seed %d: sums (-want +got)\n%s", seed, diff)
		}
		if gotSum.Same() != (len(want) == 0) {
			t.Errorf("seed %d: Same() = %v of %d differences", seed, gotSum.Same(), len(want))
		}
	}
}

// TestCompareFails: an inventory that breaks off, and a reader that stops, end the comparison with their error.
func TestCompareFails(t *testing.T) {
	broken := errors.New("broken")
	one := held{fmt.Sprintf("sha256:%064x", 1): 1, fmt.Sprintf("sha256:%064x", 3): 1}.records(t)
	bad := func(yield func(inventory.Record, error) bool) {
		for r := range one {
			if !yield(r, nil) {
				return
			}
			break
		}
		yield(inventory.Record{}, broken)
	}
	none := held{}.records(t)
	fine := func(Difference) error { return nil }
	for name, pair := range map[string][2]iter.Seq2[inventory.Record, error]{
		"first": {bad, none}, "second": {none, bad}, "second, first goes on": {one, bad},
	} {
		if _, err := compare(pair[0], pair[1], fine); !errors.Is(err, broken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := compare(one, none, func(Difference) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
