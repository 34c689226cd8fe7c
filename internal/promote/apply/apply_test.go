package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

// count counts the requests that begin with a method and contain a text.
func count(log []string, method, text string) (n int) {
	for _, line := range log {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func TestApply(t *testing.T) {
	w, tree := release(t)
	var audit bytes.Buffer
	plan := w.plan(tree)
	w.source.Asked()
	r := w.must(plan, Done, func(o *Options) { o.Audit, o.Who, o.Plan = &audit, "me", plan.Hash })
	if r.Done != 9 || r.Failed != 0 || r.Code(nil) != 0 {
		t.Errorf("report: %+v", r)
	}
	log := w.source.Asked()
	if n := count(log, "GET", "/blobs/"); n != 11 {
		t.Errorf("the source's blobs were read %d times, want each of 11 once: %q", n, log)
	}
	for _, s := range r.Stores {
		if s.Blobs != 11 || s.Behind != 0 {
			t.Errorf("store %+v", s)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(audit.String()), "\n") {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Who != "me" || e.Plan != plan.Hash || e.Run == "" || e.Result == "" {
			t.Errorf("audit log: %s: %v", line, err)
		}
	}
	for _, a := range []Action{Begin, Blob, Mount, Stored, Manifest, SetTag, Merge, End} {
		if !strings.Contains(audit.String(), fmt.Sprintf(`"action":%q`, a)) {
			t.Errorf("the audit log has no %s", a)
		}
	}
	if w.hosts[0].has("prod/one:v1") != w.source.has("st/one:v1") {
		t.Error("v1 is not what the source has")
	}
	// Signatures were copied too: cosign's by its tag, the referrer in the list of a host without an API.
	one := digestOf(t, w.source.has("st/one:v1"))
	if w.hosts[1].has("prod/one:"+registry.FallbackTag(one)+".sig") == "" {
		t.Error("cosign's tag is missing")
	}
	w.same()
	if r := w.must(w.plan(tree), Nothing); r.InPlace != 0 {
		t.Errorf("the second run: %+v", r)
	}
	// The same plan again: everything is in place.
	w.must(plan, Done) // the image without a tag is put again
}

// TestReferrers: the destinations here have no referrers API, and what they listed before stays.
func TestReferrers(t *testing.T) {
	w := newWorld(t, 1, 0)
	one := w.image("st/one", "v1", nil, "one")
	first := w.image("st/one", "", &one, "first")
	images := fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", one.Digest)
	tree := w.tree(images, w.hosts[0].Host+"/prod")
	w.must(w.plan(tree), Done)
	tag := registry.FallbackTag(digestOf(t, one.Digest.String()))
	has := func(p *place, d string) bool {
		return bytes.Contains(p.Manifest("prod/one", tag), []byte(d))
	}
	if !has(w.hosts[0], first.Digest.String()) {
		t.Error("the first referrer is not listed")
	}
	second := w.image("st/one", "", &one, "second")
	images = fmt.Sprintf("- {name: one, dmap: {%q: [v1, v2]}}\n", one.Digest)
	w.must(w.plan(w.tree(images, w.hosts[0].Host+"/prod")), Done)
	for _, d := range []string{first.Digest.String(), second.Digest.String()} {
		if !has(w.hosts[0], d) {
			t.Errorf("%s is not listed", d)
		}
	}
}

func TestTagMoved(t *testing.T) {
	w := newWorld(t, 2, 1)
	one, two := w.image("st/one", "v1", nil, "one"), w.image("st/one", "", nil, "two")
	tree := w.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1, v2]}}\n", one.Digest), w.hosts[0].Host+"/prod", w.hosts[1].Host+"/prod")
	plan := w.plan(tree)
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": two, "layers": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	w.hosts[0].PutRaw("prod/one", "v1", raw)
	r := w.must(plan, Partial)
	if len(r.Failures) != 1 || r.Failures[0].Class != promote.TagMoved || r.Failures[0].Tag != "v1" || r.Code(nil) != 32|1 || r.Done != 3 {
		t.Errorf("report %+v, failures %v", r, r.Failures)
	}
	if got := w.hosts[0].has("prod/one:v1"); got != sum(raw) {
		t.Errorf("the tag was moved to %s", got)
	}
	// The same if the run began right after the plan: it also reads the tag before it sets it.
	w2 := newWorld(t, 1, 0)
	one = w2.image("st/one", "v1", nil, "one")
	plan = w2.plan(w2.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", one.Digest), w2.hosts[0].Host+"/prod"))
	w2.faults(func(_ int, what string) fault {
		if strings.Contains(what, "/manifests/sha256:") {
			w2.hosts[0].PutRaw("prod/one", "v1", raw)
		}
		return fine
	})
	r = w2.must(plan, Failed, func(o *Options) { o.Fresh = true })
	if r.Code(nil) != 64|1 || r.Failed != 1 {
		t.Errorf("report %+v", r)
	}
	// The run makes a move that is in the plan.
	w2.faults(nil)
	tree = w2.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", one.Digest), w2.hosts[0].Host+"/prod")
	w2.must(w2.plan(tree, "one:v1"), Done)
	w2.finished(tree)
}

func TestSourceGone(t *testing.T) {
	w := newWorld(t, 1, 1)
	one, two := w.image("st/one", "v1", nil, "one"), w.image("st/two", "v1", nil, "two")
	tree := w.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n- {name: two, dmap: {%q: [v1]}}\n", one.Digest, two.Digest), w.hosts[0].Host+"/prod")
	plan := w.plan(tree)
	for _, what := range []string{"/manifests/" + one.Digest.String(), "/blobs/" + sum([]byte("one"))} {
		w.source.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, what) {
				rw.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		})
		r, err := w.apply(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Failures) != 1 || r.Failures[0].Class != promote.SourceGone || r.Code(nil) != 32|2 {
			t.Errorf("%s: %q %v", what, r.Result, r.Failures)
		}
	}
	w.source.Fail(nil)
	w.must(w.plan(tree), Done)
	w.finished(tree)
}

func TestDestinationDown(t *testing.T) {
	t.Parallel()
	w, tree := release(t)
	plan := w.plan(tree)
	w.hosts[1].Fail(func(rw http.ResponseWriter, r *http.Request) bool { panic(http.ErrAbortHandler) })
	r := w.must(plan, Partial)
	if r.Code(nil) != 32|4 || r.Done != 6 || r.Failed != 3 {
		t.Errorf("report %+v: %v", r, r.Failures)
	}
	w.hosts[1].Fail(nil)
	w.must(w.plan(tree), Done)
	w.finished(tree)
	w.same()
}

// If a destination refuses some repositories, however many, the run does not hold back others of the same registry, and
// does not conclude that the source is gone.
func TestRepositoriesRefuse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code int
		text string
	}{
		"no right":          {http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"no push for you"}]}`},
		"no credentials":    {http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED"}]}`},
		"no repository":     {http.StatusNotFound, `{"errors":[{"code":"NAME_UNKNOWN"}]}`},
		"read only":         {http.StatusMethodNotAllowed, `{"errors":[{"code":"UNSUPPORTED"}]}`},
		"immutable, no why": {http.StatusConflict, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 0)
			var images strings.Builder
			for i := range 30 {
				n := fmt.Sprintf("a/i%02d", i)
				if i == 29 {
					n = "b"
				}
				fmt.Fprintf(&images, "- {name: %s, dmap: {%q: [v1]}}\n", n, w.image("st/"+n, "v1", nil, "base", n).Digest)
			}
			w.hosts[0].Fail(func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet || r.Method == http.MethodHead || !strings.Contains(r.URL.Path, "/prod/a/") {
					return false
				}
				rw.WriteHeader(tt.code)
				_, _ = rw.Write([]byte(tt.text))
				return true
			})
			r := w.must(w.plan(w.tree(images.String(), w.hosts[0].Host+"/prod")), Partial)
			if r.Code(nil) != 32|4 || r.Done != 1 || r.Failed != 29 || w.hosts[0].has("prod/b:v1") == "" {
				t.Errorf("code %d, %d done, %d failed: %v", r.Code(nil), r.Done, r.Failed, r.Failures)
			}
		})
	}
}

func TestStoreDown(t *testing.T) {
	for _, tt := range []struct {
		require string
		want    Result
		code    int
	}{{"healthy", Done, 0}, {"1", Done, 0}, {"2", Failed, 64 | 8}, {"all", Failed, 64 | 8}} {
		t.Run(tt.require, func(t *testing.T) {
			w, tree := release(t)
			w.lax = true
			if err := os.Rename(w.stores[1], w.stores[1]+".away"); err != nil {
				t.Fatal(err)
			}
			require, err := ParseRequire(tt.require)
			if err != nil || require.String() != tt.require {
				t.Fatal(require, err)
			}
			r := w.must(w.plan(tree), tt.want, func(o *Options) { o.Require = require })
			if r.Code(nil) != tt.code {
				t.Errorf("code %d, want %d", r.Code(nil), tt.code)
			}
			if s := r.Stores[1]; s.Error == "" || s.Blobs != 0 || tt.want == Done && s.Behind != 2 {
				t.Errorf("store: %+v", s)
			}
			if tt.want == Failed && w.hosts[0].has("prod/one:v1") != "" {
				t.Error("a tag is set")
			}
		})
	}
}

// usual returns how long a run takes on this machine now.
func usual(t *testing.T) time.Duration {
	w, tree := release(t)
	begun := time.Now()
	w.must(w.plan(tree), Done)
	return time.Since(begun)
}

// TestStoreSlow: the run waits only once for a store that takes forever.
func TestStoreSlow(t *testing.T) {
	t.Parallel()
	w, tree := release(t)
	w.lax = true
	w.faults(func(_ int, what string) fault {
		if strings.Contains(what, w.stores[1]+"/containers/images/") && !strings.Contains(what, "44136fa3") {
			return hangs
		}
		return fine
	})
	const patience = 5 * time.Second // long enough for the other store
	usual, begun := usual(t), time.Now()
	r := w.must(w.plan(tree), Done, func(o *Options) { o.StoreTimeout = patience })
	if took := time.Since(begun); took > 3*patience+4*usual {
		t.Errorf("it took %s, and %s where no store is slow", took, usual)
	}
	if s := r.Stores[1]; !strings.Contains(s.Error, "too long") || s.Behind == 0 {
		t.Errorf("store: %+v", s)
	}
}

// TestNoMounts: a host that mounts nothing still gets each blob from the source only once.
func TestNoMounts(t *testing.T) {
	w, tree := release(t)
	for _, h := range w.hosts {
		h.Change(func(o *registrytest.Options) { o.NoMounts = true })
	}
	w.source.Asked()
	w.must(w.plan(tree), Done)
	if n := count(w.source.Asked(), "GET", "/blobs/"); n != 11 {
		t.Errorf("the source's blobs were read %d times", n)
	}
	w.finished(tree)
	w.same()
}

// TestRequests counts the requests for one image at forty repositories of one host.
func TestRequests(t *testing.T) {
	w2 := newWorld(t, 1, 0)
	one := w2.source.Index("st/one", "v1", w2.image("st/one", "", nil, "base", "a"), w2.image("st/one", "", nil, "base", "b"), w2.image("st/one", "", nil, "base", "c"), w2.image("st/one", "", nil, "base", "d"))
	var to []string
	for i := range 40 {
		to = append(to, fmt.Sprintf("%s/prod%d", w2.hosts[0].Host, i))
	}
	plan := w2.plan(w2.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", one.Digest), to...))
	w2.hosts[0].Asked()
	w2.must(plan, Done, func(o *Options) { o.Fresh = true })
	log := w2.hosts[0].Asked()
	const blobs, manifests, repos = 9, 5, 40
	least := blobs*2 + blobs*(repos-1) + manifests*repos*2 + repos*3
	t.Logf("first tag: %d requests; the least, each manifest and tag read back: %d", len(log), least)
	if len(log) > least+blobs+2 {
		t.Errorf("%d requests, want at most %d", len(log), least+blobs+2)
	}
	plan = w2.plan(w2.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1, v2]}}\n", one.Digest), to...))
	w2.hosts[0].Asked()
	w2.must(plan, Done, func(o *Options) { o.Fresh = true })
	log = w2.hosts[0].Asked()
	t.Logf("second tag: %d requests; the least: %d", len(log), repos*3)
	if len(log) > repos*3+2 {
		t.Errorf("%d requests for the second tag", len(log))
	}
}

func TestHooks(t *testing.T) {
	w, tree := release(t)
	r := w.must(w.plan(tree), Partial, func(o *Options) {
		o.Before = func(_ context.Context, p *promote.Promotion) error {
			if p.Image == "two" {
				return errors.New("nobody signed it")
			}
			return nil
		}
	})
	if r.Code(nil) != 32|16 || w.hosts[0].has("prod/two@"+w.source.has("st/two:v1")) != "" {
		t.Errorf("report %+v", r.Failures)
	}
	var placed []string
	w2, tree := release(t)
	w2.must(w2.plan(tree), Failed, func(o *Options) {
		o.Parallel = 1
		o.Placed = func(_ context.Context, p *promote.Promotion, to []string) (bool, error) {
			placed = append(placed, to...)
			return false, errors.New("no key")
		}
	})
	if len(placed) != 6 || w2.hosts[0].has("prod/one:v1") != "" {
		t.Errorf("placed %v", placed)
	}
}

func TestDenied(t *testing.T) {
	w, tree := release(t)
	w.extra = fmt.Sprintf("deny: {digests: [%q]}\n", sum([]byte("arm")))
	r := w.must(w.plan(tree), Partial)
	if len(r.Failures) != 1 || r.Failures[0].Class != promote.Policy {
		t.Errorf("failures %v", r.Failures)
	}
}

func TestAuditLogFull(t *testing.T) {
	w, tree := release(t)
	r := w.must(w.plan(tree), Interrupted, func(o *Options) { o.Audit = broken{} })
	if !strings.Contains(r.Error, "audit log") {
		t.Errorf("it ended for %q", r.Error)
	}
	if w.hosts[0].has("prod/one:v1") != "" {
		t.Error("a tag is set")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestReadPlan(t *testing.T) {
	w, tree := release(t)
	var b bytes.Buffer
	out := promote.NewWriter(&b, promote.Header{Hash: tree.Hash})
	regs := registries()
	defer regs.Close()
	s, err := promote.Make(t.Context(), tree, regs, promote.Options{}, out.Add)
	if err == nil {
		err = out.Close(s)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "plan.json")
	for _, n := range []int{0, 10, b.Len() / 2, b.Len() - 3} {
		if _, err := ReadPlan(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Errorf("a plan of %d bytes out of %d is taken for whole", n, b.Len())
		}
	}
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := ReadPlan(f)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{w.hosts[0].Host, w.hosts[1].Host}
	slices.Sort(hosts)
	if p.Promotions != 2 || p.Edges != 9 || !slices.Equal(p.Hosts, hosts) || p.Header.Hash != tree.Hash {
		t.Errorf("plan %+v", p)
	}
	if _, err := f.WriteAt([]byte(" "), int64(b.Len()-1)); err != nil {
		t.Fatal(err)
	}
	for _, e := range p.All() {
		err = e
	}
	if !errors.Is(err, ErrChanged) {
		t.Errorf("a changed plan: %v", err)
	}
}
