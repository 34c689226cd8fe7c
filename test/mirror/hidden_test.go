package mirror

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/ctl"
	"ociproxy/test/shop"
)

// TestEncodedAtRest: another tool has put the right bytes, but with an encoding, under the right digests. A pass treats
// these objects as missing and copies none of them to other stores. An audit names and repairs them. A rebuilt
// inventory lists none of them.
func TestEncodedAtRest(t *testing.T) {
	t.Parallel()
	s := newScene(t, small)
	w := s.world(t, nil)
	if r := w.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	bad, other := w.shops[0], w.shops[1]
	digests := slices.Sorted(maps.Keys(s.source.Blobs))
	encoded := digests[:3]
	spoil := func(of *shop.Shop) {
		for i, d := range encoded {
			of.Encode(t, d, []string{"gzip", "aws-chunked", "br"}[i])
		}
	}
	unlist := func(of *shop.Shop) {
		for _, key := range of.List(t, "inventory/") {
			of.Remove(t, key)
		}
	}

	// A listing says that the store has everything already, but no inventory records it.
	spoil(bad)
	unlist(bad)
	if r := w.mirror(t); r.Code != 0 {
		t.Errorf("mirror: %v", r)
	}
	w.whole(t)

	// The inventory lists them, and another store of the group does not have them.
	spoil(bad)
	unlist(other)
	for _, d := range encoded {
		other.Remove(t, shop.Key(d))
	}
	if r := w.mirror(t); r.Code != 0 {
		t.Errorf("mirror: %v", r)
	}
	want := map[string]string{}
	for _, d := range encoded {
		want[bad.Name+" "+d] = "unreadable"
	}
	for _, args := range [][]string{nil, {"--from", "head"}, {"--deep"}} {
		found, r := w.audit(t, args...)
		if diff := cmp.Diff(want, found.found()); diff != "" || r.Code != 64 {
			t.Errorf("audit %q: exit code %d (-want +got)\n%s", args, r.Code, diff)
		}
	}
	if found, r := w.audit(t, "--repair"); r.Code != 0 || found.Repair.Repaired.Blobs != int64(len(encoded)) {
		t.Errorf("repair: %+v, %v", found.Repair, r)
	}
	w.whole(t)

	spoil(bad)
	unlist(bad)
	r := ctl.Run(t, ctl.Limit, shop.Environment, "inventory", "rebuild", "--config", w.file, "--store", bad.Name)
	held := bad.Inventory(t)
	for _, d := range encoded {
		if _, listed := held[d]; listed || !strings.Contains(r.Stdout, d) {
			t.Errorf("%s is listed: %v; %v", d, listed, r)
		}
	}
	for _, d := range digests[len(encoded):] {
		if _, listed := held[d]; !listed {
			t.Errorf("%s is not listed", d)
		}
	}
	if r := w.mirror(t); r.Code != 0 {
		t.Errorf("mirror: %v", r)
	}
	w.whole(t)
}
