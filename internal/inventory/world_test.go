package inventory_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

// world is a number of buckets behind one HTTP client: http://<name>/.
type world struct {
	t    *testing.T
	opt  inventory.Options
	mu   sync.Mutex
	b    map[string]*inventorytest.Bucket
	held map[string]inventorytest.Holding
	// answer may answer a request instead of its bucket; nil: it does not.
	answer func(w http.ResponseWriter, r *http.Request) bool
	seen   map[string]int // requests by path
	now    time.Time      // zero: the real time
}

func newWorld(t *testing.T, dir string) *world {
	w := &world{t: t, b: map[string]*inventorytest.Bucket{}, held: map[string]inventorytest.Holding{}, seen: map[string]int{}}
	w.opt = inventory.Options{Dir: dir, Client: inventorytest.Client(w), Now: w.clock}
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now.IsZero() {
		return time.Now()
	}
	return w.now
}

func (w *world) set(answer func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.seen[r.URL.Path]++
	answer, b := w.answer, w.b[r.URL.Host]
	w.mu.Unlock()
	if answer != nil && answer(rw, r) {
		return
	}
	b.ServeHTTP(rw, r)
}

// write applies records to a store's inventory. It makes the inventory if there is none.
func (w *world) write(name string, records ...inventory.Record) {
	w.t.Helper()
	w.mu.Lock()
	b := w.b[name]
	if b == nil {
		b = &inventorytest.Bucket{}
		w.b[name], w.held[name] = b, inventorytest.Holding{}
	}
	w.mu.Unlock()
	opt := write.Options{Store: name, TempDir: w.t.TempDir(), Now: w.clock}
	if _, err := write.New(b, opt).Apply(w.t.Context(), records...); err != nil {
		w.t.Fatal(err)
	}
	w.held[name].Apply(records...)
}

func (w *world) stores(names ...string) (list []inventory.Store) {
	for i, name := range names {
		list = append(list, inventory.Store{ID: name, URL: "http://" + name + "/", Index: i})
	}
	return list
}

// follow starts a follower of the named stores.
func (w *world) follow(names ...string) (*inventory.Follower, *inventory.Live) {
	w.t.Helper()
	f := inventory.NewFollower(w.opt)
	live, err := f.Follow(w.stores(names...))
	if err != nil {
		w.t.Fatal(err)
	}
	return f, live
}

// expect compares the table with what was written to the named stores, in the order of their indices.
func (w *world) expect(live *inventory.Live, names ...string) {
	w.t.Helper()
	want := map[oci.Digest]inventory.Entry{}
	for i, name := range names {
		for d, size := range w.held[name] {
			e := want[d]
			e.Stores.Add(i)
			e.Size, e.Kind = size, inventory.Blob
			want[d] = e
		}
	}
	got := maps.Collect(live.View().Table.All())
	if !maps.Equal(want, got) {
		w.t.Fatalf("table (-want +got)\n%s", cmp.Diff(want, got, cmpopts.EquateComparable(oci.Digest{}), cmpopts.EquateEmpty()))
	}
}

func believed(live *inventory.Live) (list []int) {
	stores := live.View().Believed
	stores.Each(func(i int) { list = append(list, i) })
	return list
}

// state expects the only store to be in a state, with or without an error.
func state(t *testing.T, f *inventory.Follower, live *inventory.Live, want inventory.State, fault string) {
	t.Helper()
	s := f.Statuses()[0]
	if s.State != want {
		t.Errorf("state %v, want %v", s.State, want)
	}
	if (fault == "") != (s.LastError == nil) || fault != "" && !strings.Contains(s.LastError.Error(), fault) {
		t.Errorf("error %v, want %q", s.LastError, fault)
	}
	if s.ErrorSince.IsZero() != (s.LastError == nil) {
		t.Errorf("failing since %v, error %v", s.ErrorSince, s.LastError)
	}
	if v := live.View().Believed; v.Has(0) != (want == inventory.Current) {
		t.Errorf("believed: %v in state %v", v.Has(0), want)
	}
}

func text(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// on returns a function that answers requests whose path contains suffix.
func on(suffix string, h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, suffix) {
			return false
		}
		h(w, r)
		return true
	}
}
