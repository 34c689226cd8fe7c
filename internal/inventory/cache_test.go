package inventory_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
)

// Damaged files on disk count as missing, and are fetched again.
func TestDamagedCache(t *testing.T) {
	for name, damage := range map[string]func(name string, info os.FileInfo) error{
		"emptied":   func(name string, _ os.FileInfo) error { return os.Truncate(name, 0) },
		"truncated": func(name string, i os.FileInfo) error { return os.Truncate(name, i.Size()-2) },
		"removed":   func(name string, _ os.FileInfo) error { return os.Remove(name) },
		"flipped": func(name string, i os.FileInfo) error {
			b, err := os.ReadFile(name)
			if err == nil {
				b[len(b)/2] ^= 0x40
				err = os.WriteFile(name, b, 0o600)
			}
			return err
		},
	} {
		for _, part := range []string{"head", "seg"} {
			t.Run(name+" "+part, func(t *testing.T) {
				dir := t.TempDir()
				w := newWorld(t, dir)
				w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
				f, live := w.follow("a")
				if err := f.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				files, err := filepath.Glob(filepath.Join(dir, part, "*"))
				if err != nil || len(files) == 0 {
					t.Fatalf("no files in %s: %v", part, err)
				}
				for _, file := range files {
					info, err := os.Stat(file)
					if err != nil {
						t.Fatal(err)
					}
					if err := damage(file, info); err != nil {
						t.Fatal(err)
					}
				}
				// While the process runs, nothing is lost.
				if err := f.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				w.expect(live, "a")
				w.write("a", inventorytest.Blob(4))
				_ = f.Refresh(t.Context())
				if err := f.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				w.expect(live, "a")

				f, live = w.follow("a")
				if err := f.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				w.expect(live, "a")
				state(t, f, live, inventory.Current, "")
			})
		}
	}
}

// If the directory cannot be written, only the copy on disk is missing.
func TestUnwritableDir(t *testing.T) {
	w := newWorld(t, unwritable(t))
	w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
	w.write("b", inventorytest.Blob(1), inventorytest.Blob(3))
	f, live := w.follow("a", "b")
	if err := f.Refresh(t.Context()); err == nil {
		t.Error("nobody is told that the disk cannot be written")
	}
	w.expect(live, "a", "b")
	if d := cmp.Diff([]int{0, 1}, believed(live)); d != "" {
		t.Errorf("believed (-want +got)\n%s", d)
	}
	w.write("a", inventorytest.Blob(4), inventorytest.Gone(1))
	_ = f.Refresh(t.Context())
	w.expect(live, "a", "b")
}

// Without a working disk, segments that the table has are not fetched again at every pass of the mirror.
func TestUnwritableDirRefetch(t *testing.T) {
	w := newWorld(t, unwritable(t))
	w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
	f, live := w.follow("a")
	for range 4 {
		_ = f.Refresh(t.Context())
		w.write("a")
	}
	w.write("a", inventorytest.Blob(3))
	_ = f.Refresh(t.Context())
	w.expect(live, "a")
	for path, n := range w.seen {
		if strings.HasPrefix(path, "/seg/") && n > 1 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
}

// A store that moves to another bucket does not get the old bucket's inventory from disk.
func TestMovedStore(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
	f, _ := w.follow("a")
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f = inventory.NewFollower(w.opt) // a restart
	live, err := f.Follow([]inventory.Store{{ID: "a", URL: "http://elsewhere/", Index: 0}})
	if err != nil {
		t.Fatal(err)
	}
	f.Load()
	state(t, f, live, inventory.Loading, "")
	if n := live.View().Table.Len(); n != 0 {
		t.Errorf("%d digests of the old bucket", n)
	}
	f, live = w.follow("a")
	f.Load()
	state(t, f, live, inventory.Current, "")
	w.expect(live, "a")
}
