package mirror

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"ociproxy/test/ctl"
	"ociproxy/test/shop"
)

// TestRebuildOfDamaged: an inventory is damaged on the server's disk. Either the server's own checksums contradict what
// it sends, or the server cannot read it at all. Without --force, the rebuild changes nothing. With it, the rebuild
// writes a new inventory.
func TestRebuildOfDamaged(t *testing.T) {
	t.Parallel()
	s := newScene(t, small)
	w := s.world(t, nil)
	if r := w.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	one := w.shops[0]
	before := one.Inventory(t)
	rebuild := func(more ...string) ctl.Ran {
		args := append([]string{"inventory", "rebuild", "--config", w.file, "--store", one.Name}, more...)
		return ctl.Run(t, ctl.Limit, shop.Environment, args...)
	}
	head := one.Server.File(one.S3Bucket, "inventory/head.json")
	segment := func() string {
		raw, err := os.ReadFile(head)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range one.List(t, "inventory/seg") {
			if strings.Contains(string(raw), path.Base(key)) {
				return one.Server.File(one.S3Bucket, key)
			}
		}
		t.Fatal("no segment")
		return ""
	}
	for name, damage := range map[string]func(whole []byte) []byte{
		"another byte": func(whole []byte) []byte { whole[len(whole)/2] ^= 1; return whole },
		"no JSON":      func(whole []byte) []byte { whole[0] = 'x'; return whole },
		"cut":          func(whole []byte) []byte { return whole[:len(whole)/2] },
		"empty":        func([]byte) []byte { return nil },
	} {
		for part, file := range map[string]func() string{"head": func() string { return head }, "segment": segment} {
			file := file()
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(whole), 0o600); err != nil { // in place, to keep its attributes
				t.Fatal(err)
			}
			if r := rebuild(); r.Code != 1 || !strings.Contains(r.Stderr, "--force") {
				t.Errorf("%s of the %s: %v", name, part, r)
			}
			if r := rebuild("--force"); r.Code != 0 || !strings.Contains(r.Stdout, "A new inventory was written.") {
				t.Fatalf("%s of the %s, --force: %v", name, part, r)
			}
			if after := one.Inventory(t); !maps.Equal(before, after) {
				t.Errorf("%s of the %s: the inventory has %d blobs, had %d", name, part, len(after), len(before))
			}
		}
	}
	w.whole(t)
}

// TestRebuildListsNothingImpossible: an object whose content cannot have its digest is named and is not listed. If it
// was listed already, the rebuild removes it from the list.
func TestRebuildListsNothingImpossible(t *testing.T) {
	t.Parallel()
	s := newScene(t, small)
	w := s.world(t, nil)
	if r := w.mirror(t); r.Code != 0 {
		t.Fatalf("mirror: %v", r)
	}
	one := w.shops[0]
	digests := slices.Sorted(maps.Keys(s.source.Blobs))
	bad := map[string]string{digests[0]: "", shop.Nothing: "not empty"}
	for _, listed := range []bool{true, false} {
		for d, content := range bad {
			one.Remove(t, shop.Key(d))
			one.Put(t, shop.Key(d), []byte(content))
		}
		if !listed {
			for _, key := range one.List(t, "inventory/") {
				one.Remove(t, key)
			}
		}
		r := ctl.Run(t, ctl.Limit, shop.Environment, "inventory", "rebuild", "--config", w.file, "--store", one.Name)
		held := one.Inventory(t)
		for d := range bad {
			if _, is := held[d]; is || !strings.Contains(r.Stdout, d) {
				t.Errorf("listed before %t: %s is listed: %t; %v", listed, d, is, r)
			}
		}
		if len(held) < len(s.source.Blobs)-1 {
			t.Errorf("%d blobs are listed", len(held))
		}
	}
	if r := w.mirror(t); r.Code != 0 {
		t.Errorf("mirror: %v", r)
	}
	one.Remove(t, shop.Key(shop.Nothing))
	w.whole(t)
}
