package admission

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/parts"
	"ociproxy/test/shop"
)

// TestAdmit shares one world among all tests, because it takes long to build.
func TestAdmit(t *testing.T) {
	w := newWorld(t)
	t.Run("good store", w.good)
	t.Run("dry run", w.dryRun)
	t.Run("interrupted", w.filled(t).interrupted)
	t.Run("clients", w.clients)
	t.Run("families", w.families)
	t.Run("faults", w.faults)
}

// A good store is admitted: every check passes, or says why it was not made. The run keeps to what it announced, and the
// record has nothing secret in it.
func (w *world) good(t *testing.T) {
	w.shops[0].Gate.Take()
	file := filepath.Join(t.TempDir(), "record.json")
	r := w.admit(t, append(quick, "--record", file)...)
	if r.Verdict != "pass" || r.Errors+r.Warnings > 0 {
		t.Errorf("%v", &r)
	}
	got := map[string]bool{}
	for _, f := range r.Findings {
		got[family(f.Check)] = true
	}
	for _, id := range checks(t) {
		if !got[id] {
			t.Errorf("%s was not asked", id)
		}
	}
	if s := r.Figures.Sample; s.Objects != 7 || s.Whole != 7 || s.Needed != 4 || s.Unlisted != 0 {
		t.Errorf("sample %+v, want all 7 objects, and the 4 blobs of an image", s)
	}
	if len(r.Figures.Speed) != 3 || r.Figures.Speed[0].Name != w.shops[0].Name || r.Figures.Speed[2].Name != "us" {
		t.Errorf("speed of %+v, want the store, its neighbour and the canonical upstream", r.Figures.Speed)
	}
	if p := r.Figures.Pulls; len(p) != 1 || p[0].FromStore != 4 {
		t.Errorf("pulls %+v", p)
	}
	if c, most := r.Cost, r.Limits; c.Requests == 0 || c.Requests > most.Requests || c.Bytes == 0 || c.Bytes > most.Bytes {
		t.Errorf("the run took %+v, announced were %+v", c, most)
	}
	// The gate is an oracle for what the run asked of the store.
	asked := w.shops[0].Gate.Take()
	if n := int64(len(asked)); n > r.Cost.Requests {
		t.Errorf("the store saw %d requests, the record says %d", n, r.Cost.Requests)
	}
	nothingLeft(t, w)
	t.Logf("%+v, of at most %+v", r.Cost, r.Limits)
	w.recorded(t, file)
}

// recorded checks the file of --record.
func (w *world) recorded(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var is struct {
		Kind, Verdict string
		Details       record
	}
	if err := json.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	r := is.Details
	if is.Kind != "admission" || is.Verdict != "pass" {
		t.Errorf("a record of kind %s says %s", is.Kind, is.Verdict)
	}
	s := r.Subject
	if r.Kind != "admission" || r.Version != 1 || s.Store != w.shops[0].Name || s.URL != w.shops[0].URL("{digest}") || len(s.Stanza) != 64 || len(s.Config) != 64 {
		t.Errorf("record of %+v, kind %s, version %d", s, r.Kind, r.Version)
	}
	for _, v := range shop.Environment {
		if _, secret, _ := strings.Cut(v, "="); len(secret) > 4 && strings.Contains(string(text), secret) {
			t.Errorf("the record has %s in it", v)
		}
	}
}

// A dry run asks nobody anything. A store that the config does not have is an error of usage.
func (w *world) dryRun(t *testing.T) {
	w.shops[0].Gate.Take()
	ran := ctl.Run(t, ctl.Limit, shop.Environment, "store", "admit", w.shops[0].Name, "--config", w.file, "--dry-run")
	if ran.Code != 0 || !strings.Contains(ran.Stdout, "at most ") || !strings.Contains(ran.Stdout, "Nothing was asked.") {
		t.Errorf("%v", ran)
	}
	if asked := w.shops[0].Gate.Take(); len(asked) > 0 {
		t.Errorf("a dry run asked %+v", asked)
	}
	ran = ctl.Run(t, ctl.Limit, shop.Environment, "store", "admit", "nonsense", "--config", w.file)
	if ran.Code != 2 || !strings.Contains(ran.Stderr, `"nonsense" in the config`) {
		t.Errorf("%v", ran)
	}
	ran = ctl.Run(t, ctl.Limit, shop.Environment, append([]string{"store", "admit", w.shops[0].Name, "--config", w.file}, quick...)...)
	for _, want := range []string{w.shops[0].Name + " is admitted", "cost: ", "SERVER", "builtin"} {
		if !strings.Contains(ran.Stdout, want) {
			t.Errorf("no %q in %v", want, ran)
		}
	}
}

// An interrupted run says so, and leaves nothing behind: no file, no object.
func (w *world) interrupted(t *testing.T) {
	front := w.shops[0].Gate
	put := make(chan struct{}, 1)
	front.Spoil(func(r *http.Request) (gate.Fault, bool) {
		if r.Method == "PUT" {
			select {
			case put <- struct{}{}:
			default:
			}
			f := gate.Pass
			f.Pace = 1 // the answer does not come
			return f, true
		}
		return gate.Pass, false
	})
	policy(`"s3:PutObject"`)(t, w)
	record, dir := filepath.Join(t.TempDir(), "record.json"), t.TempDir()
	run := ctl.Start(t, append(slices.Clone(shop.Environment), "TMPDIR="+dir), slices.Concat([]string{"store", "admit", w.shops[0].Name, "--config", w.file, "--record", record}, quick)...)
	select {
	case <-put:
	case <-time.After(ctl.Limit):
		t.Fatal("no PUT came")
	}
	run.Signal(syscall.SIGINT)
	ran := run.Wait(t, ctl.Limit)
	if ran.Code != 1 || !strings.Contains(ran.Stderr, "interrupted") {
		t.Errorf("%v", ran)
	}
	left, err := os.ReadDir(dir)
	if _, gone := os.Stat(record); err != nil || len(left) > 0 || gone == nil {
		t.Errorf("left: %v, record %v", left, gone == nil)
	}
	nothingLeft(t, w)
}

// Every client that is installed pulls from the store. A pull counts only because all layers came from there.
func (w *world) clients(t *testing.T) {
	parts.NeedRoot(t)
	w = w.with(t, w.shops)
	for _, c := range []struct {
		path string
		want []string
	}{
		{filepath.Dir(parts.Find(t, "crane")), []string{"builtin", "crane", "skopeo", "podman", "containerd"}},
		{filepath.Dir(parts.Find(t, "containerd2/ctr")), []string{"builtin", "containerd"}},
	} {
		args := []string{"--objects", "2", "--read-only"}
		for _, name := range c.want {
			if name != "builtin" {
				parts.Find(t, name)
			}
			args = append(args, "--client", name)
		}
		dir, err := os.MkdirTemp("/tmp", "") // podman wants short paths
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w.env = []string{"PATH=" + c.path + ":" + os.Getenv("PATH"), "TMPDIR=" + dir}
		r := w.admit(t, append(slices.Clone(quick), args...)...)
		if r.Verdict != "pass" || r.Warnings > 0 {
			t.Errorf("%v", &r)
		}
		var pulled []string
		for _, p := range r.Figures.Pulls {
			pulled = append(pulled, p.Client)
			if p.FromStore != 4 || p.Blobs != 4 {
				t.Errorf("%s: %d of %d blobs from the store", p.Client, p.FromStore, p.Blobs)
			}
		}
		slices.Sort(pulled)
		slices.Sort(c.want)
		if !slices.Equal(pulled, c.want) {
			t.Errorf("pulls with %q, want %q\n%v", pulled, c.want, &r)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v %v", left, err)
		}
	}
}

// Stores of other kinds are asked in the way of their service. fake-gcs-server has no rights to take away: anyone may
// list, so it is refused, and for nothing else.
func TestSlowKinds(t *testing.T) {
	parts.Slow(t)
	base := newWorld(t)
	for name, start := range map[string]func(testing.TB) *shop.Shop{"azure": shop.Azure, "gcs": shop.GCS, "seaweedfs": shop.SeaweedFS} {
		t.Run(name, func(t *testing.T) {
			w := base.with(t, []*shop.Shop{start(t)})
			want := map[string]string{"closed.list": "ok", "closed.root": "ok", "owner": "info"}
			switch name {
			case "azure":
				w.store()["owner"] = "devstoreaccount1"
				want["owner"] = "ok"
			case "gcs":
				want["closed.list"], want["closed.root"] = "error", "error"
			}
			w.fill(t)
			r := w.admit(t, quick...)
			for id, result := range r.results() {
				if want[id] == "" && result == "error" || want[id] != "" && want[id] != result {
					t.Errorf("%s is %s, want %q", id, result, want[id])
				}
			}
			t.Logf("%v", &r)
		})
	}
}
