package walk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

// recorder is a visitor that writes down what it is told, in the names that a test gave to digests.
type recorder struct {
	names map[string]string
	known map[string]bool // by name
	ripe  map[string]bool
	hold  func(n *Node) // is called for each blob

	mu       sync.Mutex
	finished []string
	blobs    map[string][]string // by manifest
	nodes    map[string]*Node
	skipped  []string
	gone     []string
	problems []string
	listed   map[string]int
}

func record(names map[string]ocispec.Descriptor) *recorder {
	v := &recorder{names: map[string]string{}, blobs: map[string][]string{}, nodes: map[string]*Node{}, listed: map[string]int{}}
	for name, d := range names {
		v.names[string(d.Digest)] = name
	}
	return v
}

func (v *recorder) name(d oci.Digest) string {
	if name := v.names[d.String()]; name != "" {
		return name
	}
	return d.String()
}

func (v *recorder) Known(d oci.Digest) bool { return v.known[v.name(d)] }
func (v *recorder) Ripe(d oci.Digest) bool  { return v.ripe[v.name(d)] }

func (v *recorder) Blob(_ context.Context, n *Node, b registry.Descriptor) {
	if v.hold != nil {
		v.hold(n)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.blobs[v.name(n.Digest)] = append(v.blobs[v.name(n.Digest)], v.name(b.Digest))
}

func (v *recorder) Skipped(repo string, b registry.Descriptor, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.skipped = append(v.skipped, repo+" "+v.name(b.Digest)+" "+why)
}

func (v *recorder) Gone(repo, ref string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gone = append(v.gone, repo+" "+ref)
}

func (v *recorder) Finished(n *Node) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finished = append(v.finished, v.name(n.Digest))
	v.nodes[v.name(n.Digest)] = n
}

func (v *recorder) Problem(repo, ref string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if name := v.names[ref]; name != "" {
		ref = name
	}
	v.problems = append(v.problems, fmt.Sprintf("%s %s: %v", repo, ref, err))
}

func (v *recorder) Listed(repo string, images int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listed[repo] += images
}

// walk walks a source to its end.
func (v *recorder) walk(t *testing.T, s *Source) (*Walker, error) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	w := New(s, v)
	err := w.Walk(ctx, stop)
	return w, err
}

// want compares what finished, whatever the order.
func (v *recorder) want(t *testing.T, names ...string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(slices.Values(v.finished))); diff != "" {
		t.Errorf("finished (-want +got)\n%s", diff)
	}
	if len(v.problems) > 0 {
		t.Errorf("problems: %q", v.problems)
	}
}

// platforms pushes an index of two images, and a third image that shares a layer.
func platforms(r *registrytest.Registry) map[string]ocispec.Descriptor {
	names := map[string]ocispec.Descriptor{"amd": r.Image("app", "", "base", "one"), "arm": r.Image("app", "", "base", "two")}
	names["all"] = r.Index("app", "all", names["amd"], names["arm"])
	names["lib"] = r.Image("team/lib", "v1", "base")
	for _, text := range []string{"base", "one", "two"} {
		names[text] = registrytest.Describe("", registrytest.Sum([]byte(text)), 0)
	}
	return names
}

func manifests(asked []string) (n int) {
	for _, q := range asked {
		if strings.Contains(q, "/manifests/") && !strings.Contains(q, "/manifests/sha256-") { // that is a list of referrers
			n++
		}
	}
	return n
}

// Each manifest is read once, with one request, and an index is finished after what it lists.
func TestWalk(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	v := record(platforms(r))
	w, err := v.walk(t, open(t, r))
	if err != nil {
		t.Fatal(err)
	}
	v.want(t, "all", "amd", "arm", "lib")
	if at := slices.Index(v.finished, "all"); at < slices.Index(v.finished, "amd") || at < slices.Index(v.finished, "arm") {
		t.Errorf("finished in the order %q", v.finished)
	}
	if n := manifests(r.Asked()); n != 4 {
		t.Errorf("%d requests for 4 manifests", n)
	}
	if got := v.blobs["amd"][1:]; !slices.Equal(got, []string{"base", "one"}) || v.blobs["all"] != nil {
		t.Errorf("blobs: %v", v.blobs)
	}
	if n := v.nodes["all"]; len(n.Children()) != 2 || n.Repository != "app" || n.Size == 0 || n.Failed() || n.Partial() || n.Void() {
		t.Errorf("%+v", n)
	}
	if met, known := w.Counts(); met != 4 || known != 0 || v.listed["app"] != 1 || v.listed["team/lib"] != 1 {
		t.Errorf("met %d, knew %d, listed %v", met, known, v.listed)
	}
}

// What the visitor knows is not read; with a listing of digests it is not even asked for.
func TestKnown(t *testing.T) {
	for _, digests := range []bool{false, true} {
		r := registrytest.New(t, registrytest.Options{})
		v := record(platforms(r))
		v.known = map[string]bool{"all": true, "amd": true, "lib": true}
		if digests {
			r.Change(func(o *registrytest.Options) { o.Digests = func(string) bool { return true } })
		}
		w, err := v.walk(t, open(t, r, func(c *config.Config) {
			c.Mirror.Repositories.Include, c.Mirror.Repositories.List = nil, []string{"app", "team/lib"}
		}))
		if err != nil {
			t.Fatal(err)
		}
		asked := r.Asked()
		met, known := w.Counts()
		if digests { // arm is in the list, too
			if v.want(t, "arm"); manifests(asked) != 1 || met != 4 || known != 3 {
				t.Errorf("met %d, knew %d: %q", met, known, asked)
			}
			continue
		}
		if v.want(t); manifests(asked) != 2 || met != 2 || known != 2 {
			t.Errorf("met %d, knew %d: %q", met, known, asked)
		}
	}
}

// A node that is held does not finish, nor what lists it, until it is let go.
func TestHold(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	v := record(platforms(r))
	var mu sync.Mutex
	var held []*Node
	v.hold = func(n *Node) {
		if v.name(n.Digest) == "amd" {
			n.Hold()
			mu.Lock()
			held = append(held, n)
			mu.Unlock()
		}
	}
	w, err := v.walk(t, open(t, r))
	if err != nil {
		t.Fatal(err)
	}
	v.want(t, "arm", "lib")
	for _, n := range held[1:] {
		w.Release(n)
	}
	v.want(t, "arm", "lib")
	w.Release(held[0])
	v.want(t, "all", "amd", "arm", "lib")
	if got := v.finished[2:]; !slices.Equal(got, []string{"amd", "all"}) {
		t.Errorf("finished %q at the end", got)
	}
}

// What refers to an image is walked; of one that is known only when it is ripe. It may be gone.
func TestReferrersOfKnown(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{Referrers: true})
	names := map[string]ocispec.Descriptor{"new": r.Image("app", "new", "new"), "old": r.Image("app", "old", "old"), "ripe": r.Image("app", "ripe", "ripe")}
	for _, name := range []string{"new", "old", "ripe"} {
		names["sig of "+name] = r.Artifact("app", "", names[name], "sig of "+name)
	}
	names["sig of sig"] = r.Artifact("app", "", names["sig of new"], "sig of sig")
	gone := r.Artifact("app", "", names["new"], "gone")
	names["gone"] = gone
	r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "/manifests/"+string(gone.Digest)) {
			rw.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	v := record(names)
	v.known, v.ripe = map[string]bool{"old": true, "ripe": true}, map[string]bool{"ripe": true}
	if _, err := v.walk(t, open(t, r, func(c *config.Config) { c.Mirror.Referrers = true })); err != nil {
		t.Fatal(err)
	}
	v.want(t, "new", "sig of new", "sig of sig", "sig of ripe", "gone")
	if !v.nodes["gone"].Void() || v.nodes["new"].Void() {
		t.Error("void is not what is gone")
	}
	v = record(names)
	if _, err := v.walk(t, open(t, r, func(c *config.Config) { c.Mirror.Referrers = false })); err != nil {
		t.Fatal(err)
	}
	v.want(t, "new", "old", "ripe")
}

// What an artifact is about is walked too, though no tag leads there; of a closure it is no part.
func TestSubject(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	names := map[string]ocispec.Descriptor{"img": r.Image("app", "", "img")}
	names["sig"] = r.Artifact("app", "sig", names["img"], "sig")
	v := record(names)
	if _, err := v.walk(t, open(t, r)); err != nil {
		t.Fatal(err)
	}
	v.want(t, "img", "sig")
	if c, err := closure(t, r, names["sig"]); err != nil || len(c.Manifests) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// What is denied is left out, and makes what lists it partial; what is to be had elsewhere is left out.
func TestSkipped(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	names := platforms(r)
	foreign := registrytest.Describe("application/vnd.oci.image.layer.nondistributable.v1.tar", "sha256:"+strings.Repeat("ab", 32), 10)
	foreign.URLs = []string{"https://elsewhere.example/layer"}
	names["foreign"] = foreign
	m := r.ImageManifest("app", "one")
	m.Layers = append(m.Layers, foreign)
	names["odd"] = r.Put("app", "odd", m)
	r.Change(func(o *registrytest.Options) { o.Digests = func(repo string) bool { return repo == "team/lib" } })
	v := record(names)
	_, err := v.walk(t, open(t, r, func(c *config.Config) {
		c.Deny.Digests = []oci.Digest{of(t, names["arm"]), of(t, names["lib"])}
		c.Mirror.Repositories.Include, c.Mirror.Repositories.List = nil, []string{"app", "team/lib"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	v.want(t, "all", "amd", "odd")
	if n := v.nodes["all"]; !n.Partial() || len(n.Children()) != 1 || v.nodes["amd"].Partial() {
		t.Errorf("%+v", n)
	}
	want := []string{"app arm denied", "app foreign not to be distributed: https://elsewhere.example/layer", "team/lib lib denied"}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(v.skipped))); diff != "" {
		t.Errorf("skipped (-want +got)\n%s", diff)
	}
}

// What an index lists and is no manifest is a blob of the index, for each index that has it.
func TestBlobInIndex(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	names := map[string]ocispec.Descriptor{"img": r.Image("app", "", "base")}
	cache := r.Blob("app", "cache")
	cache.MediaType = "application/vnd.unheard-of"
	names["cache"] = cache
	names["a"] = r.Index("app", "a", cache, names["img"])
	names["b"] = r.Index("app", "b", names["img"], cache)
	v := record(names)
	if _, err := v.walk(t, open(t, r)); err != nil {
		t.Fatal(err)
	}
	v.want(t, "a", "b", "img")
	for _, index := range []string{"a", "b"} {
		if !slices.Equal(v.blobs[index], []string{"cache"}) || len(v.nodes[index].Children()) != 1 {
			t.Errorf("%s: blobs %q, %d children", index, v.blobs[index], len(v.nodes[index].Children()))
		}
	}
}

// What cannot be read is said once, with where it is; what lists it finishes, and the walk goes on.
func TestProblems(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	names := platforms(r)
	names["deep"] = r.Image("deep", "", "deep")
	for range maxDepth + 1 {
		names["deep"] = r.Index("deep", "v1", names["deep"])
	}
	r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "/manifests/"+string(names["arm"].Digest)) {
			rw.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	v := record(names)
	if _, err := v.walk(t, open(t, r)); err != nil {
		t.Fatal(err)
	}
	if len(v.problems) != 2 || !slices.ContainsFunc(v.problems, func(p string) bool { return strings.HasPrefix(p, "app arm: read ") }) ||
		!slices.ContainsFunc(v.problems, func(p string) bool {
			return strings.HasPrefix(p, "deep sha256:") && strings.HasSuffix(p, ErrNested.Error())
		}) {
		t.Errorf("problems: %q", v.problems)
	}
	if !v.nodes["arm"].Failed() || v.nodes["amd"].Failed() || v.nodes["all"] == nil {
		t.Errorf("finished %q", v.finished)
	}
}

// A source that never answers ends the walk; one that has nothing to walk is an error, too.
func TestNoSource(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	platforms(r)
	_, err := record(nil).walk(t, open(t, r, func(c *config.Config) { c.Mirror.Repositories.Include = []string{"nothing"} }))
	if !errors.Is(err, ErrNothing) {
		t.Errorf("nothing selected: %v", err)
	}
	var names []string
	for i := range 3 * maxFailures {
		names = append(names, fmt.Sprint("app", i))
	}
	r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/v2/" {
			return false
		}
		_, _ = rw.Write([]byte("a page for browsers"))
		return true
	})
	v := record(nil)
	_, err = v.walk(t, open(t, r, func(c *config.Config) { c.Mirror.Repositories.Include, c.Mirror.Repositories.List = nil, names }))
	if !errors.Is(err, ErrSource) || len(v.problems) > 2*maxFailures {
		t.Errorf("no answers: %v, %d problems", err, len(v.problems))
	}
}

// Random indexes of indexes, which share what they list, with blobs that come late: whatever the order, each manifest is read once
// and finishes once, after all that it lists.
func TestRandomWalks(t *testing.T) {
	for round := range 30 {
		r := registrytest.New(t, registrytest.Options{})
		rnd := rand.New(rand.NewPCG(uint64(round), 1))
		names := map[string]ocispec.Descriptor{}
		children := map[string][]string{}
		var all []string
		for i := range 5 + rnd.IntN(20) {
			name, tag := fmt.Sprint("m", i), ""
			if rnd.IntN(2) == 0 {
				tag = name
			}
			if len(all) == 0 || rnd.IntN(3) == 0 {
				names[name] = r.Image("app", tag, fmt.Sprint("layer", rnd.IntN(5)), name)
			} else {
				var list []ocispec.Descriptor
				for range 1 + rnd.IntN(4) {
					if child := all[rnd.IntN(len(all))]; !slices.Contains(children[name], child) {
						children[name] = append(children[name], child)
						list = append(list, names[child])
					}
				}
				m := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: list, Annotations: map[string]string{"name": name}}
				names[name] = r.Put("app", tag, m) // the name keeps it apart from others that list the same
			}
			all = append(all, name)
		}
		r.Image("app", "last", "last") // there is a tag
		names["last"] = registrytest.Describe("", r.Digest("app", "last"), 0)
		var want []string
		var add func(name string)
		add = func(name string) {
			if !slices.Contains(want, name) {
				want = append(want, name)
				for _, c := range children[name] {
					add(c)
				}
			}
		}
		tags := 0
		for name := range names {
			if r.Digest("app", name) != "" {
				tags++
				add(name)
			}
		}

		v := record(names)
		var late sync.WaitGroup
		var w *Walker
		v.hold = func(n *Node) {
			n.Hold()
			late.Go(func() { w.Release(n) })
		}
		ctx, stop := context.WithCancelCause(t.Context())
		w = New(open(t, r), v)
		if err := w.Walk(ctx, stop); err != nil {
			t.Fatal(err)
		}
		late.Wait()
		stop(nil)
		v.want(t, want...)
		for at, name := range v.finished {
			for _, c := range children[name] {
				if slices.Index(v.finished, c) > at {
					t.Errorf("round %d: %s finished before %s, which it lists", round, name, c)
				}
			}
		}
		// One that an index lists may be read by its tag at the same time.
		if n := manifests(r.Asked()); n < len(want) || n > len(want)+tags {
			t.Errorf("round %d: %d requests for %d manifests with %d tags", round, n, len(want), tags)
		}
		if t.Failed() {
			return
		}
	}
}
