package apply

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/config"
	"ociproxy/internal/ledger"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
	"ociproxy/internal/store"
)

// world is a source, some destinations and some stores, all on loopback. It watches every write: no tag may become
// visible before all of its image is in its repository and in every store.
type world struct {
	t      testing.TB
	source *place
	hosts  []*place
	stores []string // directories
	urls   []string
	extra  string // text for the config

	mu     sync.Mutex
	writes int                            // to destinations and stores
	fault  func(n int, what string) fault // called before each write
	dead   bool                           // every further write fails
	lax    bool                           // stores may be without what tags need
}

// fault is what happens to a write.
type fault int

const (
	fine    fault = iota
	failed        // it fails without effect
	unclear       // it takes effect, but seems to fail
	hangs         // it fails when no caller waits for it any more
)

// place is one registry.
type place struct {
	*registrytest.Registry
	w *world
}

func newWorld(t testing.TB, hosts, stores int) *world {
	w := &world{t: t}
	w.source = &place{registrytest.New(t, registrytest.Options{Referrers: true}), w}
	for range hosts {
		w.hosts = append(w.hosts, w.newPlace())
	}
	for range stores {
		w.addStore()
	}
	return w
}

func (w *world) addStore() {
	dir := filepath.Join(w.t.TempDir(), "bucket")
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	w.t.Cleanup(s.Close)
	w.stores, w.urls = append(w.stores, dir), append(w.urls, s.URL)
}

// newPlace returns a registry to write to.
func (w *world) newPlace() *place {
	p := &place{w: w}
	p.Registry = registrytest.New(w.t, registrytest.Options{Around: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { p.watch(next, rw, r) })
	}})
	return p
}

// watch checks each write, and decides what happens to it.
func (p *place) watch(next http.Handler, rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		next.ServeHTTP(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if repo, ref, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/"); ok {
		p.w.look(p, repo, ref, body)
	}
	what := p.w.write(r.Context(), r.Method+" "+p.Host+r.URL.Path)
	if what == failed {
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	if what == unclear {
		panic(http.ErrAbortHandler)
	}
	for key, values := range answer.Header() {
		rw.Header()[key] = values
	}
	rw.WriteHeader(answer.Code)
	_, _ = rw.Write(answer.Body.Bytes())
}

// write counts a write and returns what happens to it. If it hangs, write waits for the end of ctx.
func (w *world) write(ctx context.Context, what string) fault {
	f := w.decide(what)
	if f == hangs {
		<-ctx.Done()
		f = failed
	}
	return f
}

func (w *world) decide(what string) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if w.fault == nil {
		return fine
	}
	return w.fault(w.writes, what)
}

// look checks the promise: what becomes visible under a tag is complete.
func (w *world) look(p *place, repo, ref string, body []byte) {
	m, err := registry.ParseManifest(body, "")
	if err != nil {
		w.t.Errorf("%s/%s:%s: %v", p.Host, repo, ref, err)
		return
	}
	for _, problem := range w.lacks(p, repo, m, !strings.Contains(ref, ":")) {
		w.t.Errorf("%s/%s:%s becomes visible and %s", p.Host, repo, ref, problem)
	}
}

// lacks returns what a manifest's repository does not have of it, and, with stores, what the stores do not have.
func (w *world) lacks(p *place, repo string, m *registry.Manifest, stores bool) (out []string) {
	var blobs []oci.Digest
	todo := []*registry.Manifest{m}
	for len(todo) > 0 {
		m, todo = todo[0], todo[1:]
		for _, b := range m.Blobs() {
			if blobs = append(blobs, b.Digest); !p.HasBlob(repo, b.Digest.String()) {
				out = append(out, "the repository lacks blob "+b.Digest.String())
			}
		}
		for _, c := range m.Children() {
			child, err := registry.ParseManifest(p.Manifest(repo, c.Digest.String()), "")
			if err != nil {
				out = append(out, "the repository lacks manifest "+c.Digest.String())
				continue
			}
			todo = append(todo, child)
		}
	}
	if !stores || w.lax || len(w.stores) == 0 {
		return out
	}
	l := w.ledger()
	defer l.Close()
	for i, dir := range w.stores {
		for _, d := range blobs {
			text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(store.BlobKey(d))))
			if err != nil || sum(text) != d.String() {
				out = append(out, fmt.Sprintf("store %d lacks blob %s: %v", i, d, err))
			}
			if _, ok := l.Holds(i, d); !ok {
				out = append(out, fmt.Sprintf("the inventory of store %d lacks blob %s", i, d))
			}
		}
	}
	return out
}

// ledger reads the current inventories.
func (w *world) ledger() *ledger.Ledger {
	var all []ledger.Store
	for i, dir := range w.stores {
		b, err := store.Open(context.Background(), "file://"+dir, store.Options{})
		if err != nil {
			w.t.Error(err)
		}
		all = append(all, ledger.Store{Name: fmt.Sprintf("s%d", i), Bucket: b})
	}
	l, err := ledger.Open(context.Background(), all, ledger.Options{})
	if err != nil {
		w.t.Error(err)
	}
	return l
}

// faults sets what happens to writes from now on; nil: they succeed.
func (w *world) faults(f func(n int, what string) fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.dead = f, false
}

// killed reports whether every further write fails.
func (w *world) killed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

func sum(b []byte) string { return registrytest.Sum(b) }

// config returns a config with the stores; nil: there are no stores.
func (w *world) config() *config.Config {
	if len(w.stores) == 0 {
		return nil
	}
	text := fmt.Sprintf(`version: 1
places: {onprem/a: {lat: 52.5, lon: 13.4, country: DE}}
upstreams: [{name: reg, url: "http://%s", place: gcp/us-central1, canonical: true, insecure: true}]
mirror: {source: reg, repositories: {list: [x]}, spool: {dir: %q}}
%sstores:
`, w.source.Host, w.t.TempDir(), w.extra)
	for i, dir := range w.stores {
		text += fmt.Sprintf(`  - {name: s%d, place: onprem/a, url: "%[2]s/containers/images/{digest}", inventory: {url: "%[2]s/inventory/"}, bucket: "file://%[3]s", serves: [all], insecure: true}
`, i, w.urls[i], dir)
	}
	cfg, err := config.Parse("test", []byte(text))
	if err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// image pushes an image to the source; about may be nil.
func (w *world) image(repo, tag string, about *ocispec.Descriptor, texts ...string) ocispec.Descriptor {
	if about != nil {
		return w.source.Artifact(repo, tag, *about, texts...)
	}
	return w.source.Image(repo, tag, texts...)
}

// tree returns a plain manifest. images is the text below "images:".
func (w *world) tree(images string, destinations ...string) *manifest.Tree {
	w.t.Helper()
	text := fmt.Sprintf("registries:\n- {name: %s/st, src: true}\n", w.source.Host)
	for _, d := range destinations {
		text += fmt.Sprintf("- {name: %q}\n", d)
	}
	tree, err := manifest.Plain("plain.yaml", []byte(text+"images:\n"+images))
	if err != nil {
		w.t.Fatal(err)
	}
	return tree
}

// registries returns registries with generous limits.
func registries() *promote.Registries {
	return promote.NewRegistries(promote.Access{Rate: 100_000, Parallel: 64, Timeout: time.Minute})
}

// plan makes a plan and reads it as apply does.
func (w *world) plan(tree *manifest.Tree, moves ...string) *Plan {
	w.t.Helper()
	var b bytes.Buffer
	out := promote.NewWriter(&b, promote.Header{Manifests: tree.Path, Hash: tree.Hash})
	regs := registries()
	defer regs.Close()
	s, err := promote.Make(context.Background(), tree, regs, promote.Options{AllowMove: moves}, out.Add)
	if err == nil {
		err = out.Close(s)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := ReadPlan(bytes.NewReader(b.Bytes()))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// apply applies a plan. with may change options.
func (w *world) apply(ctx context.Context, p *Plan, with ...func(*Options)) (*Report, error) {
	w.t.Helper()
	zero := time.Duration(0)
	opt := Options{
		Registries: registries(), Config: w.config(), Settle: &zero, TTL: time.Minute,
		Wrap: func(b store.Bucket) store.Bucket { return bucket{b, w} },
	}
	if len(w.stores) == 0 {
		opt.Config = new(config.Config)
		opt.Config.Mirror.Spool.Dir = w.t.TempDir()
	}
	for _, f := range with {
		f(&opt)
	}
	defer opt.Registries.Close()
	run, err := Open(ctx, p, opt)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := run.Apply(ctx)
	if e := run.Close(ctx); e != nil {
		w.t.Logf("close: %v", e)
	}
	return r, err
}

// must applies a plan and expects a result.
func (w *world) must(p *Plan, want Result, with ...func(*Options)) *Report {
	w.t.Helper()
	r, err := w.apply(w.t.Context(), p, with...)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Result != want {
		w.t.Fatalf("the run ended with %q, not %q: %s\n%v\n%v", r.Result, want, r.Error, r.Failures, r.Notices)
	}
	return r
}

// has returns the digest of repository:tag or repository@digest, or "" if there is none.
func (p *place) has(ref string) string {
	at := strings.IndexAny(ref, ":@")
	return p.Digest(ref[:at], ref[at+1:])
}

func digestOf(t testing.TB, text string) oci.Digest {
	t.Helper()
	d, err := oci.ParseDigest(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
