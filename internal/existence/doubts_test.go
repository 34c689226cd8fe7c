package existence

import (
	"fmt"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

func testDigest(t testing.TB, i int) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(fmt.Sprintf("sha256:%064x", i))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDenialIsPerStoreAndDigest(t *testing.T) {
	d := NewDoubts()
	one, two := testDigest(t, 1), testDigest(t, 2)
	d.Observe(0, one, false)
	for _, tt := range []struct {
		store  int
		digest oci.Digest
		want   bool
	}{{0, one, true}, {0, two, false}, {1, one, false}} {
		if got := d.Denies(tt.store, tt.digest); got != tt.want {
			t.Errorf("Denies(%d, %s) = %v", tt.store, tt.digest, got)
		}
	}
	d.Observe(0, one, true)
	if d.Denies(0, one) {
		t.Error("denied although the store has it again")
	}
}

func TestThreeAbsentAmongFiftyDemote(t *testing.T) {
	for _, tt := range []struct {
		name string
		seen string // a: absent, h: held
		want bool
	}{
		{"two", "aa" + strings.Repeat("h", 48), false},
		{"three", "a" + strings.Repeat("h", 24) + "a" + strings.Repeat("h", 23) + "a", true},
		{"three, but one was long ago", "a" + strings.Repeat("h", 48) + "a" + strings.Repeat("h", 10) + "a", false},
	} {
		d := NewDoubts()
		got := false
		for i, c := range tt.seen {
			got = d.Observe(7, testDigest(t, i), c == 'h') || got
		}
		demoted := d.Demoted()
		if got != tt.want || demoted.Has(7) != tt.want || demoted.Has(6) {
			t.Errorf("%s: demoted %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestARewrittenInventoryIsBelievedAgain(t *testing.T) {
	d := NewDoubts()
	d.Rewritten(7, 5)
	for i := range 3 {
		d.Observe(7, testDigest(t, i), false)
	}
	for range 2 {
		if d.Rewritten(7, 5) {
			t.Fatal("believed though nothing changed")
		}
	}
	if !d.Rewritten(7, 6) {
		t.Fatal("not believed though it was rewritten")
	}
	if demoted := d.Demoted(); demoted.Has(7) || d.Denies(7, testDigest(t, 0)) {
		t.Error("still doubted")
	}
}

// A digest that was missing once is not missing forever.
func TestARewrittenInventoryEndsDenials(t *testing.T) {
	d := NewDoubts()
	d.Rewritten(7, 5)
	d.Observe(7, testDigest(t, 1), false)
	d.Observe(8, testDigest(t, 1), false)
	d.Rewritten(7, 6)
	if d.Denies(7, testDigest(t, 1)) || !d.Denies(8, testDigest(t, 1)) {
		t.Error("the denials of the rewritten store, and only those, are to be forgotten")
	}
}

func TestOneLostObjectIsNotThree(t *testing.T) {
	d := NewDoubts()
	for range 10 {
		if d.Observe(7, testDigest(t, 1), false) {
			t.Fatal("demoted for one digest")
		}
	}
}

func TestDoubtsMoveWithTheirStores(t *testing.T) {
	d := NewDoubts()
	for i := range 3 {
		d.Observe(2, testDigest(t, i), false)
	}
	d.Observe(1, testDigest(t, 9), false)
	moved := d.Moved(func(i int) (int, bool) { return 5, i == 2 })
	demoted := moved.Demoted()
	if !demoted.Has(5) || demoted.Len() != 1 || !moved.Denies(5, testDigest(t, 0)) || moved.Len() != 3 {
		t.Errorf("demoted %v, %d denials", demoted, moved.Len())
	}
}

func TestDenialsAreBounded(t *testing.T) {
	d := NewDoubts()
	for i := range 3 * maxDenied {
		d.Observe(i%5, testDigest(t, i), false)
	}
	if d.Len() > maxDenied || len(d.order) > maxDenied {
		t.Errorf("%d denials, want at most %d", d.Len(), maxDenied)
	}
	if !d.Denies((3*maxDenied-1)%5, testDigest(t, 3*maxDenied-1)) {
		t.Error("the newest was forgotten")
	}
}
