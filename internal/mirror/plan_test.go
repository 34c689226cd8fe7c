package mirror

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/fleet"
	"ociproxy/internal/walk"
)

func (w *world) plan(opt Options) *Plan {
	w.t.Helper()
	cfg := w.config()
	src, err := walk.NewSource(cfg, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer src.Close()
	f, err := fleet.Open(w.t.Context(), cfg, fleet.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := MakePlan(w.t.Context(), cfg, src, f, opt)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// A plan says what the pass after it does, and writes nothing.
func TestPlan(t *testing.T) {
	w := newWorld(t, 2)
	w.Index("app", "all", w.Image("app", "a", "base", "one"), w.Image("app", "b", "base", "two"))
	w.extra = ", bandwidthMBps: 0.000001"
	p := w.plan(Options{})
	for i, dir := range w.stores {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("store %d: %v, %v", i, entries, err)
		}
	}
	var bytes int64
	w.extra = ""
	r := w.pass(Options{})
	for _, n := range w.held(0) {
		bytes += n
	}
	if p.Blobs != 5 || p.Bytes != bytes || p.Requests != 5 || p.Images.Seen != 3 {
		t.Errorf("%+v, copied %d bytes", p, bytes)
	}
	for i, s := range p.Stores {
		got := r.Stores[i]
		if s.Blobs != got.Uploaded+got.Copied || s.Bytes != got.BytesUp+got.BytesCopy {
			t.Errorf("planned %+v, done %+v", s, got)
		}
		if s.Cents <= 0 || s.Basis != "internet" {
			t.Errorf("price: %+v", s)
		}
	}
	if want := float64(bytes); p.Seconds != want {
		t.Errorf("%v seconds at a byte a second, want %v", p.Seconds, want)
	}
	if p := w.plan(Options{}); p.Blobs != 0 || p.Cents != 0 || p.Images.Known != 3 {
		t.Errorf("after the pass: %+v", p)
	}
}

// What promoter manifests name is walked, with what tags say about it, and nothing else.
func TestPromoter(t *testing.T) {
	w := newWorld(t, 1)
	named := w.Image("prod/app", "named", "wanted")
	w.Image("prod/app", "unnamed", "not wanted")
	w.Image("prod/app", strings.Replace(string(named.Digest), ":", "-", 1)+".sig", "signature")
	host := strings.TrimPrefix(w.URL, "http://")
	dir := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifests/team/promoter-manifest.yaml", "registries:\n- name: staging.example.org/team\n  src: true\n- name: "+host+"/prod\n")
	write("images/team/images.yaml", "- name: app\n  dmap:\n    \""+string(named.Digest)+"\": [\"named\"]\n")
	cfg := w.config()
	cfg.Mirror.Repositories.Include, cfg.Mirror.Repositories.Promoter = nil, dir
	r := w.passOf(t.Context(), cfg, Options{})
	if r.Result != Done {
		t.Fatalf("%+v", r)
	}
	held := slices.Sorted(maps.Keys(w.held(0)))
	for text, want := range map[string]bool{"wanted": true, "signature": true, "not wanted": false} {
		if got := slices.Contains(held, sumOf(text)); got != want {
			t.Errorf("%s: held is %v", text, got)
		}
	}
}
