package mirror

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// step is one kind of request that the mirror sends to move a blob.
type step struct {
	name  string
	reads bool // the body of its answer matters
	match func(r *http.Request) bool
}

func blobPath(r *http.Request) bool { return strings.Contains(r.URL.Path, "/containers/images/") }

// sourceSteps are the requests to the registry.
var sourceSteps = []step{
	{"catalog", true, func(r *http.Request) bool { return r.URL.Path == "/v2/_catalog" }},
	{"tags", true, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tags/list") }},
	{"manifest", true, func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/")
	}},
	{"blob", true, func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
	}},
}

// storeSteps are the requests to S3.
var storeSteps = []step{
	{"read head", true, func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/inventory/head.json") && r.Header.Get("Authorization") != ""
	}},
	{"put blob", false, func(r *http.Request) bool {
		return r.Method == http.MethodPut && blobPath(r) && !r.URL.Query().Has("partNumber")
	}},
	{"begin upload", true, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }},
	{"put part", false, func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("partNumber") }},
	{"complete upload", true, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }},
	{"put segment", false, func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/inventory/seg/")
	}},
	{"put head", false, func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/inventory/head.json")
	}},
}

// blow is a fault with a name.
type blow struct {
	name  string
	fault gate.Fault
	reads bool // only for steps whose answer has a body
}

var blows = []blow{
	{"failed", gate.Fault{Status: 500, After: -1}, false},
	{"failed but persisted", gate.Fault{Status: 500, Persisted: true, After: -1}, false},
	{"cut", gate.Fault{Cut: true, After: -1}, false},
	{"cut but persisted", gate.Fault{Cut: true, Persisted: true, After: -1}, false},
	{"busy", gate.Fault{Status: 503, Retry: "1", After: -1}, false},
	{"too many", gate.Fault{Status: 429, Retry: "1", After: -1}, false},
	{"slow", gate.Fault{Pace: 1 << 20, After: -1}, true},
	{"truncated", gate.Fault{After: 50}, true},
	{"wrong bytes", gate.Fault{Flip: true, After: -1}, true},
	{"skewed clock", gate.Fault{Shift: -26 * time.Hour, After: -1}, true},
}

// scene is the servers that the cases of one test share. Each world has its own buckets and gates, so that cases may
// run at the same time.
type scene struct {
	registry *registry.Registry
	source   *source.Source
	servers  *shop.Servers
}

func newScene(t *testing.T, p source.Shape) *scene {
	t.Helper()
	s := &scene{registry: registry.Start(t), servers: shop.StartS3(t, "us-east-1", "eu-central-1")}
	s.source = source.New(s.registry.Addr, prefix)
	s.source.Fill(t, p)
	return s
}

func (s *scene) world(t *testing.T, more proxy.Map) *world {
	t.Helper()
	return newWorld(t, s.registry, s.source, gate.New(t, s.registry.Addr), s.servers.Shops(t), more)
}

// side is one connection of a world, with the kinds of requests on it.
type side struct {
	name  string
	gate  func(*world) *gate.Gate
	steps []step
}

// sides are the connections to the source and to the first store.
var sides = []side{
	{"source", func(w *world) *gate.Gate { return w.front }, sourceSteps},
	{"store", func(w *world) *gate.Gate { return w.shops[0].Gate }, storeSteps},
}

// small is a source whose pass takes a fraction of a second. It still has a layer of two parts.
var small = source.Shape{Images: 6, Repos: 2, Seed: 3, Smallest: 4 << 10, Largest: 60 << 10, Big: []int64{17 << 20}}

// strike runs a pass with a fault, then one without. The first may complete or fail in part, but must not end
// otherwise. After the second, everything must be complete.
func (s *scene) strike(t *testing.T, side side, st step, b blow, n, k int) {
	w := s.world(t, nil)
	at := side.gate(w)
	at.Spoil(gate.Nth(n, k, st.match, b.fault))
	if k > 3 {
		// The bucket and the writer of inventories try a request that always fails many times, with pauses. Two tries
		// are enough here.
		w.env = []string{"AWS_MAX_ATTEMPTS=2"}
	}
	first := w.mirror(t)
	struck := at.Strikes()
	at.Spoil(nil)
	if struck == 0 {
		t.Fatalf("the fault never struck: %v", first)
	}
	if first.Code != 0 && first.Code != 1 && first.Code != 5 {
		t.Errorf("pass with the fault: %v", first)
	}
	if at != w.front {
		healthy := *w
		healthy.shops = w.shops[1:]
		healthy.oracle(t, w.source.Blobs)
	}
	for _, shop := range w.shops {
		shop.NothingWrong(t)
	}
	second := w.mirror(t)
	if second.Code != 0 {
		t.Fatalf("pass after the fault: %v", second)
	}
	w.whole(t)
}

// TestFaults strikes each step once, with one kind of fault each. TestSlowFaults tries all combinations.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := newScene(t, small)
	turn := 0
	for _, side := range sides {
		for _, st := range side.steps {
			b := blows[turn%4]
			turn++
			t.Run(st.name+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				s.strike(t, side, st, b, 1, 1)
			})
		}
	}
}

// TestSlowFaults strikes every step with every fault: once, and for some of them three times or for the complete pass.
// All cases take twenty minutes. If tests are not exhaustive, it tries a twelfth of them.
func TestSlowFaults(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	s, takes := newScene(t, small), parts.OneIn(12)
	for _, side := range sides {
		for _, st := range side.steps {
			for _, b := range blows {
				if b.reads && !st.reads {
					continue
				}
				for _, k := range []int{1, 3, 1 << 30} {
					if k == 3 && b.name != "cut but persisted" && b.name != "truncated" || k > 3 && b.name != "failed" && b.name != "wrong bytes" {
						continue
					}
					if !takes() {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/%d", st.name, b.name, min(k, 99)), func(t *testing.T) {
						t.Parallel()
						s.strike(t, side, st, b, 1, k)
					})
				}
			}
		}
	}
}

// TestSlowDeadStore: a store fails all writes of a kind, permanently. The mirror gives the store up for this pass
// within minutes, with all the retries of buckets and inventories. The other store gets everything, and the next pass
// fills the first one too.
func TestSlowDeadStore(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	p := small
	p.Images, p.Big = 40, nil
	s := newScene(t, p)
	writes := func(r *http.Request) bool { return r.Method == http.MethodPut || r.Method == http.MethodPost }
	for name, match := range map[string]func(r *http.Request) bool{
		"everything": writes,
		"blobs": func(r *http.Request) bool {
			return writes(r) && blobPath(r) && !strings.HasSuffix(r.URL.Path, shop.EmptyObject)
		},
		"inventories": func(r *http.Request) bool { return writes(r) && strings.Contains(r.URL.Path, "/inventory/") },
	} {
		if name != "everything" && !parts.Exhaustive() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := s.world(t, nil)
			at := w.shops[0].Gate
			nth := 1
			if name == "inventories" {
				nth = 3 // the first segment and head belong to the examination
			}
			at.Spoil(gate.Nth(nth, 1<<30, match, gate.Fault{Status: 500, After: -1}))
			first := w.mirror(t)
			t.Logf("%d requests failed; %v", at.Strikes(), first.Took)
			at.Spoil(nil)
			if first.Code != 5 || first.Took > 5*time.Minute {
				t.Errorf("pass without the store: %v", first)
			}
			healthy := *w
			healthy.shops = w.shops[1:]
			healthy.oracle(t, w.source.Blobs)
			if second := w.mirror(t); second.Code != 0 {
				t.Errorf("pass with it: %v", second)
			}
			w.oracle(t, w.source.Blobs)
		})
	}
}

// TestSlowStorm: a registry answers 429 to all requests for a while. The mirror asks it less often, and the pass
// completes.
func TestSlowStorm(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	w := newScene(t, small).world(t, nil)
	const storm = 6 * time.Second // longer than the waits of a request until its fourth refusal
	n := 0
	var over time.Time
	w.front.Spoil(func(*http.Request) (gate.Fault, bool) {
		if n++; n == 11 {
			over = time.Now().Add(storm)
		}
		return gate.Fault{Status: 429, Retry: "1", After: -1}, n > 10 && time.Now().Before(over)
	})
	first := w.mirror(t)
	if first.Code != 0 {
		t.Errorf("mirror: %v", first)
	}
	t.Logf("%d of %d requests were turned away; %v", w.front.Strikes(), n, first.Took)
	w.front.Spoil(nil)
	w.whole(t)
}

// TestSlowDiskFull: with a full disk, the spool still moves what fits. The pass with more space moves the rest.
func TestSlowDiskFull(t *testing.T) {
	parts.Slow(t)
	parts.NeedRoot(t)
	t.Parallel()
	p := small
	p.Big = []int64{17 << 20, 17 << 20, 17 << 20}
	s := newScene(t, p)
	w := s.world(t, nil)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", w.spool).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	mounted := true
	unmount := func() {
		if out, err := exec.Command("umount", w.spool).CombinedOutput(); mounted && err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
		mounted = false
	}
	t.Cleanup(unmount)
	first := w.mirror(t)
	t.Logf("on a disk of 24 MiB: exit code %d, %v", first.Code, first.Took)
	for _, shop := range w.shops {
		shop.NothingWrong(t)
	}
	// This file takes nearly all of the space, so that not even one blob fits.
	if err := os.WriteFile(w.spool+"/ballast", make([]byte, 20<<20), 0o600); err != nil {
		t.Logf("ballast: %v", err)
	}
	w2 := s.world(t, proxy.Map{"spool": proxy.Map{"dir": w.spool}})
	full := w2.mirror(t)
	if full.Code == 0 {
		t.Errorf("with 4 MiB of room: %v", full)
	}
	for _, shop := range w2.shops {
		shop.NothingWrong(t)
	}
	if err := os.Remove(w.spool + "/ballast"); err != nil {
		t.Error(err)
	}
	unmount()
	for _, w := range []*world{w, w2} {
		if second := w.mirror(t); second.Code != 0 {
			t.Errorf("with room: %v", second)
		}
		w.whole(t)
	}
}
