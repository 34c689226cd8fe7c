package promote

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// settle is how long tags wait in these tests. Two refreshes of a test's proxy would take 2 s.
const settle = time.Second

// scene is the servers that the cases of one test share. Each world has its own repositories and buckets in them, and
// its own gates in front of them, so that cases may run at the same time.
type scene struct {
	staging *registry.Registry
	prod    []*registry.Registry
	stores  *shop.Servers
	n       atomic.Int32
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{staging: registry.Start(t), stores: shop.StartS3(t, "us-east-1", "eu-central-1", "ap-south-1")}
	for range 2 {
		s.prod = append(s.prod, registry.Start(t))
	}
	return s
}

// all returns all gates.
func (w *world) all() []*gate.Gate {
	out := append([]*gate.Gate{w.front}, w.gates...)
	for _, s := range w.shops {
		out = append(out, s.Gate)
	}
	return out
}

// quiet ends all faults.
func (w *world) quiet() {
	for _, g := range w.all() {
		g.Spoil(nil)
	}
}

// project is one project of a tree.
type project struct {
	name   string
	folder string // in staging
	to     []destination
	images []source.Pushed
}

// destination is where a project is promoted to.
type destination struct {
	prod int    // index of the registry
	path string // in that registry
}

// world is some images in staging, a tree that promotes them, and stores.
type world struct {
	*scene
	name     string
	front    *gate.Gate   // in front of staging
	gates    []*gate.Gate // in front of prod
	source   *source.Source
	projects []*project
	shops    []*shop.Shop
	dir      string // the tree's
	config   proxy.Config
	file     string // the config's
	log      string // the audit log's
	ttl      string // of leases
	env      []string
}

// world fills staging and writes a tree of two projects with nested destinations.
func (s *scene) world(t testing.TB, shape source.Shape) *world {
	t.Helper()
	w := &world{scene: s, name: fmt.Sprintf("w%d", s.n.Add(1)), front: gate.New(t, s.staging.Addr), shops: s.stores.Shops(t),
		dir: filepath.Join(t.TempDir(), "tree"), file: filepath.Join(t.TempDir(), "config.yaml"),
		log: filepath.Join(t.TempDir(), "audit.jsonl"), ttl: "1m", env: shop.Environment}
	for _, r := range s.prod {
		w.gates = append(w.gates, gate.New(t, r.Addr))
	}
	w.source = source.New(s.staging.Addr, w.name+"/staging/")
	w.projects = []*project{
		{name: "apps", folder: "library", to: []destination{{0, "images"}, {1, "images"}}},
		{name: "tools", folder: "tools", to: []destination{{0, "images/tools"}, {1, "other/tools"}}},
	}
	for _, p := range w.projects {
		shape.Folder = p.folder
		w.source.Fill(t, shape)
		shape.Seed++
		for _, i := range w.source.Images() {
			if strings.HasPrefix(i.Repo, p.folder+"/") {
				p.images = append(p.images, i)
			}
		}
	}
	w.writeTree(t, nil)
	w.config = proxy.Config{
		"location":  "gcp/us-central1",
		"client":    proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": w.gates[0].URL, "prefix": w.name + "/images", "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    shop.Configs(w.shops),
		"mirror": proxy.Map{"source": "us", "repositories": proxy.Map{"promoter": w.dir}, "spool": proxy.Map{"dir": t.TempDir()},
			"requestsPerSecond": 5000},
		"log": proxy.Map{"requests": 1, "client": "full"},
	}
	w.config = w.config.Defaults(t)
	w.config.Write(t, w.file)
	return w
}

// entry is what a tree requires for one digest.
type entry struct {
	project *project
	image   string // name below the project
	digest  string
	tags    []string
}

// entries returns the entries of all images for which keep returns true; nil keeps all. Some have two tags, some none.
func (w *world) entries(keep func(n int, i source.Pushed) bool) []entry {
	var out []entry
	n := 0
	for _, p := range w.projects {
		for _, i := range p.images {
			n++
			if keep != nil && !keep(n-1, i) {
				continue
			}
			e := entry{project: p, image: strings.TrimPrefix(i.Repo, p.folder+"/"), digest: i.Digest, tags: []string{i.Tag}}
			switch n % 7 {
			case 3:
				e.tags = append(e.tags, "1."+fmt.Sprint(n)+"0") // looks like a number
			case 5:
				e.tags = nil
			}
			out = append(out, e)
		}
	}
	return out
}

// writeTree writes the manifests of the entries that keep selects, and returns these entries.
func (w *world) writeTree(t testing.TB, keep func(n int, i source.Pushed) bool) []entry {
	t.Helper()
	all := w.entries(keep)
	write := func(file, text string) {
		file = filepath.Join(w.dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range w.projects {
		text := fmt.Sprintf("registries:\n- name: %s/%s/staging/%s\n  src: true\n", w.front.Addr, w.name, p.folder)
		for _, d := range p.to {
			text += fmt.Sprintf("- name: %s/%s/%s\n", w.gates[d.prod].Addr, w.name, d.path)
		}
		write("manifests/"+p.name+"/promoter-manifest.yaml", text)
		images := map[string][]entry{}
		for _, e := range all {
			if e.project == p {
				images[e.image] = append(images[e.image], e)
			}
		}
		text = "# of " + p.name + "\n"
		for _, name := range slices.Sorted(maps.Keys(images)) {
			text += "- name: " + name + "\n  dmap:\n"
			for _, e := range images[name] {
				text += fmt.Sprintf("    %q: [", e.digest)
				for i, tag := range e.tags { // quoted: unquoted, 1.30 is a number
					text += strings.Repeat(", ", min(i, 1)) + strconv.Quote(tag)
				}
				text += "]\n"
			}
		}
		if len(images) == 0 {
			text += "[]\n"
		}
		write("images/"+p.name+"/images.yaml", text)
	}
	return all
}

// promote runs one of the promote commands to its end.
func (w *world) promote(t testing.TB, args ...string) ctl.Ran {
	t.Helper()
	return ctl.Run(t, ctl.Limit, w.env, append([]string{"promote"}, args...)...)
}

// flags returns the flags of plan, apply and run.
func (w *world) flags(more ...string) []string {
	return append([]string{"--config", w.file, "--rate", "5000"}, more...)
}

// runFlags returns the flags of apply and run.
func (w *world) runFlags(more ...string) []string {
	return w.flags(append([]string{"--settle", settle.String(), "--lease-ttl", w.ttl, "--audit-log", w.log, "--output", "json"}, more...)...)
}

// plan writes a plan and returns its file.
func (w *world) plan(t testing.TB, more ...string) (string, ctl.Ran) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.json")
	return file, w.promote(t, append([]string{"plan", w.dir, "--out", file}, w.flags(more...)...)...)
}

// apply carries out a plan.
func (w *world) apply(t testing.TB, plan string, more ...string) (report, ctl.Ran) {
	t.Helper()
	return decode(t, w.promote(t, append([]string{"apply", plan}, w.runFlags(more...)...)...))
}

// run plans and applies.
func (w *world) run(t testing.TB, more ...string) (report, ctl.Ran) {
	t.Helper()
	return decodeRun(t, w.promote(t, append([]string{"run", w.dir, "--confirm"}, w.runFlags(more...)...)...))
}

// start starts what run runs, without waiting for its end.
func (w *world) start(t testing.TB, more ...string) *ctl.Running {
	t.Helper()
	return ctl.Start(t, w.env, append([]string{"promote", "run", w.dir, "--confirm"}, w.runFlags(more...)...)...)
}

// failure is one failure of a report or a plan.
type failure struct{ Class, Repository, Tag, Digest, Message string }

// report is the part of a run's JSON document that the tests read.
type report struct {
	Result                    string
	Promotions, Done, InPlace int64
	Edges, Failed             int64
	DurationMs                int64
	BytesRead                 int64
	Stores                    []struct {
		Name                 string
		Blobs, Bytes, Behind int64
		Error                string
	}
	Registries []struct {
		Name                                              string
		Requests, Throttled, Pushed, Mounted, Tags, Bytes int64
		Error                                             string
	}
	Failures []failure
	Classes  map[string]int64
}

func decode(t testing.TB, r ctl.Ran) (report, ctl.Ran) {
	t.Helper()
	if strings.TrimSpace(r.Stdout) == "" {
		return report{}, r
	}
	return ctl.Decode[report](t, r.Stdout), r
}

// decodeRun parses what run prints. A run with nothing to do has no report.
func decodeRun(t testing.TB, r ctl.Ran) (report, ctl.Ran) {
	t.Helper()
	if strings.TrimSpace(r.Stdout) == "" {
		return report{}, r
	}
	doc := ctl.Decode[struct {
		Plan   struct{ Failures []failure }
		Report *report
	}](t, r.Stdout)
	if doc.Report == nil {
		doc.Report = &report{Result: "nothing to do"}
	}
	doc.Report.Failures = append(doc.Report.Failures, doc.Plan.Failures...)
	return *doc.Report, r
}

// Bits of exit codes: classes of failures, and whether something else is in place.
const (
	tagMoved    = 1
	sourceGone  = 2
	badRegistry = 4
	badStore    = 8
	partly      = 32
	nothingDone = 64
)

// finish makes a last run without faults. After that, everything must match the tree.
func (w *world) finish(t testing.TB) {
	t.Helper()
	w.quiet()
	if _, r := w.run(t); r.Code != 0 {
		t.Fatalf("the last run: %v", r)
	}
	w.whole(t, w.entries(nil))
	w.verified(t)
}

// verified checks with the program's own verify.
func (w *world) verified(t testing.TB) {
	t.Helper()
	if r := w.promote(t, "verify", w.dir, "--config", w.file, "--rate", "5000"); r.Code != 0 {
		t.Errorf("verify: %v", r)
	}
}

// repository returns the name of an entry's repository at a destination.
func (w *world) repository(e entry, d destination) string {
	return w.name + "/" + d.path + "/" + e.image
}
