package mirror

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
)

// step is one kind of request on the way of a blob.
type step struct {
	name  string
	reads bool // its answer has a body that matters
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
	fault fault
	reads bool // only for steps whose answer has a body
}

var blows = []blow{
	{"failed", fault{status: 500, after: -1}, false},
	{"failed but persisted", fault{status: 500, persisted: true, after: -1}, false},
	{"cut", fault{cut: true, after: -1}, false},
	{"cut but persisted", fault{cut: true, persisted: true, after: -1}, false},
	{"busy", fault{status: 503, retry: "1", after: -1}, false},
	{"too many", fault{status: 429, retry: "1", after: -1}, false},
	{"slow", fault{pace: 200 << 10, after: -1}, true},
	{"truncated", fault{after: 50}, true},
	{"wrong bytes", fault{flip: true, after: -1}, true},
	{"skewed clock", fault{shift: -26 * time.Hour, after: -1}, true},
}

// scene is what the cases of one test share.
type scene struct {
	registry *registry.Registry
	source   *source
	front    *gate
	servers  *servers
}

func newScene(t *testing.T, p shape) *scene {
	t.Helper()
	s := &scene{registry: registry.Start(t), servers: startS3(t, "us-east-1", "eu-central-1")}
	s.source = newSource(s.registry.Addr, prefix)
	s.source.fill(t, p)
	s.front = newGate(t, s.registry.Addr)
	return s
}

func (s *scene) world(t *testing.T, more proxy.Map) *world {
	t.Helper()
	s.front.spoil(nil)
	for _, g := range s.servers.gates {
		g.spoil(nil)
	}
	return newWorld(t, s.registry, s.source, s.front, s.servers.shops(t), more)
}

// small is a source whose pass takes a fraction of a second, and still has a layer of two parts.
var small = shape{images: 6, repos: 2, seed: 3, smallest: 4 << 10, largest: 60 << 10, big: []int64{17 << 20}}

// strike runs a pass with a fault, which may fail in part but must not end otherwise, and then one without, after which
// everything must be whole.
func (s *scene) strike(t *testing.T, at *gate, st step, b blow, n, k int, ofStore bool) {
	w := s.world(t, nil)
	at.spoil(nth(n, k, st.match, b.fault))
	first := w.mirror(t)
	struck := at.strikes()
	at.spoil(nil)
	if struck == 0 {
		t.Fatalf("the fault never struck: %v", first)
	}
	if first.code != 0 && first.code != 1 && first.code != 5 {
		t.Errorf("pass with the fault: %v", first)
	}
	if ofStore {
		healthy := *w
		healthy.shops = w.shops[1:]
		healthy.oracle(t, w.source.blobs)
	}
	for _, shop := range w.shops {
		shop.nothingWrong(t)
	}
	second := w.mirror(t)
	if second.code != 0 {
		t.Fatalf("pass after the fault: %v", second)
	}
	w.whole(t)
}

// nothingWrong fails when an object that is there is not what its name says, or is listed and not there.
func (s *shop) nothingWrong(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Head(s.base + "inventory/head.json")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return
	}
	for digest, size := range s.inventory(t) {
		if err := s.check(client, digest, size); err != nil {
			t.Errorf("%s lists what is not so: %v", s.name, err)
		}
	}
}

// TestFaults strikes each step once, by turns with each kind of fault. TestSlowFaults tries them all.
func TestFaults(t *testing.T) {
	s := newScene(t, small)
	turn := 0
	for _, side := range []struct {
		gate  *gate
		steps []step
	}{{s.front, sourceSteps}, {s.servers.gates[0], storeSteps}} {
		for _, st := range side.steps {
			b := blows[turn%4]
			turn++
			t.Run(st.name+"/"+b.name, func(t *testing.T) { s.strike(t, side.gate, st, b, 1, 1, side.gate != s.front) })
		}
	}
}

// TestSlowFaults strikes every step with every fault: once, thrice, and for a whole pass.
func TestSlowFaults(t *testing.T) {
	parts.Slow(t)
	s := newScene(t, small)
	for _, side := range []struct {
		gate  *gate
		steps []step
	}{{s.front, sourceSteps}, {s.servers.gates[0], storeSteps}} {
		for _, st := range side.steps {
			for _, b := range blows {
				if b.reads && !st.reads {
					continue
				}
				for _, k := range []int{1, 3, 1 << 30} {
					if k > 3 && b.name != "failed" && b.name != "wrong bytes" {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/%d", st.name, b.name, min(k, 99)), func(t *testing.T) {
						s.strike(t, side.gate, st, b, 1, k, side.gate != s.front)
					})
				}
			}
		}
	}
}

// TestSlowStorm: a registry that says 429 to most requests for a while is asked less, and the pass completes.
func TestSlowStorm(t *testing.T) {
	parts.Slow(t)
	s := newScene(t, small)
	w := s.world(t, nil)
	n := 0
	s.front.spoil(func(*http.Request) (fault, bool) {
		n++
		return fault{status: 429, retry: "1", after: -1}, n > 10 && n < 60
	})
	first := w.mirror(t)
	if first.code != 0 {
		t.Errorf("mirror: %v", first)
	}
	t.Logf("%d of %d requests were turned away; %v", s.front.strikes(), n, first.took)
	s.front.spoil(nil)
	w.whole(t)
}

// TestSlowDiskFull: a spool whose disk is full brings through what fits, and the pass with more room brings the rest.
func TestSlowDiskFull(t *testing.T) {
	parts.Slow(t)
	parts.NeedRoot(t)
	p := small
	p.big = []int64{17 << 20, 17 << 20, 17 << 20}
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
	t.Logf("on a disk of 24 MiB: exit code %d, %v", first.code, first.took)
	for _, shop := range w.shops {
		shop.nothingWrong(t)
	}
	// A file that takes nearly all of it leaves no room even for one blob.
	if err := os.WriteFile(w.spool+"/ballast", make([]byte, 20<<20), 0o600); err != nil {
		t.Logf("ballast: %v", err)
	}
	w2 := s.world(t, proxy.Map{"spool": proxy.Map{"dir": w.spool}})
	full := w2.mirror(t)
	if full.code == 0 {
		t.Errorf("with 4 MiB of room: %v", full)
	}
	for _, shop := range w2.shops {
		shop.nothingWrong(t)
	}
	if err := os.Remove(w.spool + "/ballast"); err != nil {
		t.Error(err)
	}
	unmount()
	for _, w := range []*world{w, w2} {
		if second := w.mirror(t); second.code != 0 {
			t.Errorf("with room: %v", second)
		}
		w.whole(t)
	}
}
