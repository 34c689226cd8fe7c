package inventory_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
)

// The bounds of the tests below, which a proxy must not exceed.
const (
	ownRecords = 1000
	allDigests = 1500
	listBytes  = 70*ownRecords + 64*24 // of one list by sha512
)

// hostile returns a world with a store "good", and a store "bad" that its owner no longer controls.
func hostile(t *testing.T, dir string) *world {
	w := newWorld(t, dir)
	w.now = time.Now().Truncate(time.Second)
	w.opt.MaxStoreRecords, w.opt.MaxDigests = ownRecords, allDigests
	w.write("good", inventorytest.Blob(1), inventorytest.Blob(2))
	w.write("bad", inventorytest.Blob(1), inventorytest.Blob(2))
	return w
}

func fresh(from, n int) (records []inventory.Record) {
	for i := range n {
		records = append(records, inventorytest.Blob(from+i))
	}
	return records
}

// A store that lists more and more grows the table up to its bound, and no further. Its last good list stays. News of
// the other store is always accepted. When the bad store lists less again, its news is accepted too.
func TestStoreThatGrows(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": ""} {
		t.Run(name, func(t *testing.T) {
			w := hostile(t, dir)
			f, live := w.follow("good", "bad")
			refused := false
			for i := range 20 {
				w.now = w.now.Add(time.Minute)
				w.write("bad", fresh(1000+300*i, 300)...)
				w.write("good", inventorytest.Blob(10+i))
				_ = f.Refresh(t.Context())
				good, bad := f.Statuses()[0], f.Statuses()[1]
				if good.LastError != nil || good.Held != 2+i+1 {
					t.Fatalf("round %d: good holds %d: %v", i, good.Held, good.LastError)
				}
				if n := live.View().Table.Len(); n > allDigests || bad.Held > ownRecords || bad.State != inventory.Current {
					t.Fatalf("round %d: %d digests, %d of bad, %v", i, n, bad.Held, bad.State)
				}
				if err := bad.LastError; err != nil {
					refused = true
					if !strings.Contains(err.Error(), "too many records") || !strings.Contains(err.Error(), "limits.storeRecords") {
						t.Fatalf("round %d: %v", i, err)
					}
				}
			}
			if bad := f.Statuses()[1]; !refused || bad.Held != 902 {
				t.Errorf("bad was refused %v, holds %d", refused, bad.Held)
			}
			if dir != "" { // left by an older version, or under another limit
				w.opt.MaxStoreRecords = 500
				f, _ := w.follow("good", "bad")
				f.Load()
				if good, bad := f.Statuses()[0], f.Statuses()[1]; good.Held != 22 || bad.Held != 0 {
					t.Errorf("from disk: good holds %d, bad %d", good.Held, bad.Held)
				}
			}
			w.restart("bad", fresh(1, 2)...)
			if err := f.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			w.expect(live, "good", "bad")
		})
	}
}

// Several stores together list more than there is room for, each within its own bound. The largest news waits, what is
// there stays, and not every refresh tries again.
func TestStoresThatGrowTogether(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": ""} {
		t.Run(name, func(t *testing.T) {
			w := hostile(t, dir)
			w.write("worse", inventorytest.Blob(1))
			f, live := w.follow("good", "bad", "worse")
			if err := f.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.write("bad", fresh(1000, 900)...)
			w.write("worse", fresh(3000, 910)...)
			for i := range 5 {
				w.write("good", inventorytest.Blob(10+i))
				_ = f.Refresh(t.Context())
				s := f.Statuses()
				if n := live.View().Table.Len(); n > allDigests {
					t.Fatalf("%d digests", n)
				}
				if s[0].LastError != nil || s[0].Held != 3+i || s[1].Held+s[2].Held > 920 || s[1].State != inventory.Current || s[2].State != inventory.Current {
					t.Fatalf("round %d: %+v", i, s)
				}
				if err := [2]error{s[1].LastError, s[2].LastError}; (err[0] == nil) == (err[1] == nil) {
					t.Fatalf("round %d: one of two has no room: %v", i, err)
				}
			}
			w.now = w.now.Add(time.Hour)
			w.restart("bad", fresh(1, 2)...) // now there is room again
			w.restart("worse", fresh(3000, 910)...)
			// Without a disk, refused segments are fetched again, as far as an hour's bytes allow. Which store comes
			// first is random.
			err := f.Refresh(t.Context())
			for range 4 {
				if err == nil {
					break
				}
				w.now = w.now.Add(time.Hour)
				for _, store := range []string{"good", "bad", "worse"} {
					w.write(store)
				}
				err = f.Refresh(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			w.expect(live, "good", "bad", "worse")
		})
	}
}

// A store whose lists change at every look can send as many bytes an hour as one list may have. Segments of failed
// refreshes do not stay on disk.
func TestStoreThatChanges(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": ""} {
		for _, broken := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " broken ", broken), func(t *testing.T) {
				w := hostile(t, dir)
				sent := 0
				w.set(func(rw http.ResponseWriter, r *http.Request) bool {
					if r.URL.Host != "bad" || !strings.Contains(r.URL.Path, "/seg/") {
						return false
					}
					o, ok := w.b["bad"].Object(strings.TrimPrefix(r.URL.Path, "/"))
					if sent += len(o.Body); ok && broken {
						o.Body[len(o.Body)-1]++
						_, _ = rw.Write(o.Body)
						return true
					}
					return false
				})
				f, _ := w.follow("good", "bad")
				spent := false
				const hours = 3
				for i := range hours * 60 {
					w.now = w.now.Add(time.Minute)
					w.restart("bad", fresh(10_000*(i+1), 900)...)
					_ = f.Refresh(t.Context())
					err := f.Statuses()[1].LastError
					spent = spent || err != nil && strings.Contains(err.Error(), "all they may in an hour")
				}
				if most := (hours + 1) * listBytes; !spent || sent > most || sent < most/3 {
					t.Errorf("%d bytes in %d hours, at most %d; refused %v", sent, hours, most, spent)
				}
				if dir == "" {
					return
				}
				// Make all files on disk look an hour old.
				old(t, dir)
				_ = f.Refresh(t.Context())
				left := 0
				err := filepath.WalkDir(filepath.Join(dir, "seg"), func(_ string, e fs.DirEntry, err error) error {
					if err == nil && !e.IsDir() {
						left++
					}
					return err
				})
				if err != nil || left > 2*64 {
					t.Errorf("%d segments on disk: %v", left, err)
				}
			})
		}
	}
}
