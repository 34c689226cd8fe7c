package mirror

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

func (w *world) plan(opt Options) *Plan {
	w.t.Helper()
	cfg := w.config()
	src, err := walk.NewSource(cfg, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer src.Close()
	f, err := targets.Open(w.t.Context(), cfg, targets.Options{})
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

// A plan fails as the pass would: of stores that cannot be used it says so, once each, and counts nothing for them.
func TestPlanFails(t *testing.T) {
	breaks := map[string]func(t *testing.T, dir string){
		"no bucket": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
		"no inventory": func(t *testing.T, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "inventory"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "inventory/head.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, breakIt := range breaks {
		for _, bad := range []int{1, 2} {
			w := newWorld(t, 2)
			w.Image("app", "v1", "one")
			for _, dir := range w.stores[:bad] {
				breakIt(t, dir)
			}
			p := w.plan(Options{})
			r := w.pass(Options{})
			if p.Result != r.Result || r.Result != map[int]Result{1: Partial, 2: Failed}[bad] {
				t.Fatalf("%s: the plan is %s, the pass %s\n%+v", name, p.Result, r.Result, p)
			}
			for i, s := range p.Stores {
				if (s.Error != "") != (i < bad) || (s.Blobs > 0) != (i >= bad) {
					t.Errorf("%s: %+v", name, s)
				}
			}
			if len(p.Problems) != bad || p.Problems[0].Class != r.Problems[0].Class {
				t.Errorf("%s: planned %+v, had %+v", name, p.Problems, r.Problems)
			}
		}
	}
	half := newWorld(t, 2)
	half.Image("app", "v1", "one")
	half.pass(Options{})
	breaks["no bucket"](t, half.stores[0])
	if p, r := half.plan(Options{}), half.pass(Options{}); p.Result != Partial || r.Result != Partial {
		t.Errorf("the plan is %s, the pass %s, with all in the other store", p.Result, r.Result)
	}
	w := newWorld(t, 1)
	w.Image("app", "v1", "one")
	w.pass(Options{})
	if p := w.plan(Options{}); p.Result != Done || p.Images.Known != 1 {
		t.Errorf("%+v", p)
	}
}

// A pass that did a part of its work is not one that could do nothing.
func TestPartOfTheWork(t *testing.T) {
	for name, tt := range map[string]struct {
		r    Report
		want bool
	}{
		"nothing":      {Report{}, false},
		"all failed":   {Report{Images: ImagesReport{Seen: 3, Failed: 3}, Source: SourceReport{Repositories: 1}, Stores: []StoreReport{{Incomplete: 3}}}, false},
		"copied":       {Report{Blobs: BlobsReport{Copied: 1}}, true},
		"complete":     {Report{Images: ImagesReport{Seen: 2, Complete: 1}, Stores: []StoreReport{{Incomplete: 1}}}, true},
		"in one store": {Report{Images: ImagesReport{Seen: 2}, Stores: []StoreReport{{Error: "unfit", Incomplete: 2}, {}}}, true},
		"store down":   {Report{Images: ImagesReport{Seen: 2}, Stores: []StoreReport{{Error: "unfit", Incomplete: 1}}}, false},
		"of others":    {Report{Blobs: BlobsReport{Others: 1}}, true},
		"empty source": {Report{Source: SourceReport{Repositories: 1}}, true},
	} {
		w := newWorld(t, 1)
		cfg := w.config()
		f, err := targets.Open(t.Context(), cfg, targets.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := Pass{targets: f, filler: &filler{}}
		if name == "all failed" {
			p.filler.listed.Add(3)
		}
		if got := p.didSome(&tt.r); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Of a blob of which two images state other sizes a plan names the one that is wrong, as the pass does.
func TestPlanOfMisstated(t *testing.T) {
	for _, bad := range []string{"aaa", "zzz"} {
		w := newWorld(t, 1)
		image := w.stating(bad, "v1", 1<<30)
		w.Image("good", "v1", "shared")
		for range 2 { // before and after
			p := w.plan(Options{})
			if p.Result != Partial || len(p.Problems) != 1 || p.Problems[0].Reference != string(image.Digest) {
				t.Errorf("%s: %+v", bad, p)
			}
			if p.Images.Failed != 1 || p.Bytes > 1<<20 || p.Stores[0].Uploaded != p.Bytes {
				t.Errorf("%s: the plan depends on who was read first: %d failed, %+v", bad, p.Images.Failed, p.Stores)
			}
			w.pass(Options{})
		}
	}
}
