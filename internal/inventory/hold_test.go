package inventory_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
)

// unwritable returns a directory that cannot be made.
func unwritable(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(file, "below")
}

// The segments of one store's refresh stay until they are in the table, whatever another store's refresh cleans
// meanwhile. They used to be removed from memory, and from disk if the download took long.
func TestRefreshKeepsItsSegments(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": "", "unwritable": unwritable(t)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, dir)
				w.write("a", inventorytest.Blob(1), inventorytest.Blob(2))
				first := w.written("a")
				w.write("a", inventorytest.Blob(1), inventorytest.Blob(4))
				w.write("b", inventorytest.Blob(1), inventorytest.Blob(3))
				half := make(chan struct{})
				halfway := sync.OnceFunc(func() {
					old(t, dir)
					close(half)
					<-time.After(time.Minute) // b does everything that it can do now
				})
				w.set(func(_ http.ResponseWriter, r *http.Request) bool {
					switch {
					case r.URL.Host == "b" && strings.HasSuffix(r.URL.Path, "/head.json"):
						<-half
					case r.URL.Host == "a" && strings.Contains(r.URL.Path, "/seg/") && !first[r.URL.Path[1:]]:
						halfway()
					}
					return false
				})
				f, live := w.follow("a", "b")
				if err := f.Refresh(t.Context()); err != nil && name != "unwritable" {
					t.Error(err)
				}
				w.expect(live, "a", "b")
			})
		})
	}
}

// written returns the keys of the segments in a bucket.
func (w *world) written(name string) map[string]bool {
	keys := map[string]bool{}
	for _, key := range w.b[name].Keys(inventory.SegmentPrefix) {
		keys[key] = true
	}
	return keys
}

// old makes everything in the cache look unused for an hour.
func old(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "seg", "*"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		at := time.Now().Add(-time.Hour)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Error(err)
		}
	}
}
