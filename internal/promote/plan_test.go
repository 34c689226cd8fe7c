package promote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Holdings in memory.
type world struct {
	google bool // lists digests
	repos  map[string]map[string]oci.Digest
	loose  map[string][]oci.Digest // digests without a tag
	broken map[string]error
	stale  map[string]*registry.Listing // what a registry lists instead of what it has; nil: 404

	named error // its answer instead of a missing list; nil: 404 without a reason
	tells bool  // answers NAME_UNKNOWN to a manifest request if it has nothing
	mute  error // the error of that request instead

	mu       sync.Mutex
	lists    map[string]int
	resolves int
	asked    map[string]int // requests by repository and reference
	probes   int
}

func (w *world) List(_ context.Context, repository string) (*registry.Listing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lists == nil {
		w.lists = map[string]int{}
	}
	w.lists[repository]++
	if err := w.broken[repository]; err != nil {
		return nil, err
	}
	if l, ok := w.stale[repository]; ok && l == nil {
		return nil, fmt.Errorf("list: %w", registry.ErrNotFound)
	} else if ok {
		return l, nil
	}
	tags, ok := w.repos[repository]
	if !ok && (len(w.loose[repository]) == 0 || w.named != nil) {
		if w.named != nil {
			return nil, fmt.Errorf("list: %w", w.named)
		}
		return nil, fmt.Errorf("list: %w", registry.ErrNotFound)
	}
	l := &registry.Listing{All: w.google}
	digests := slices.Clone(w.loose[repository])
	for name, d := range tags {
		t := registry.Tag{Name: name}
		if w.google {
			t.Digest = d
		}
		l.Tags = append(l.Tags, t)
		digests = append(digests, d)
	}
	slices.SortFunc(l.Tags, func(a, b registry.Tag) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(digests, func(a, b oci.Digest) int { return strings.Compare(a.String(), b.String()) })
	if w.google {
		for _, d := range slices.Compact(digests) {
			l.Manifests = append(l.Manifests, registry.Listed{Digest: d})
		}
	}
	return l, nil
}

func (w *world) Resolve(_ context.Context, repository, ref string) (oci.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolves++
	if w.asked == nil {
		w.asked = map[string]int{}
	}
	w.asked[repository+"@"+ref]++
	for name, d := range w.repos[repository] {
		if name == ref || d.String() == ref {
			return d, nil
		}
	}
	for _, d := range w.loose[repository] {
		if d.String() == ref {
			return d, nil
		}
	}
	return oci.Digest{}, fmt.Errorf("resolve: %w", registry.ErrNotFound)
}

// NameUnknown implements [Holdings]. Most registries do not report it.
func (w *world) NameUnknown(_ context.Context, repository string, d oci.Digest) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probes++
	return w.tells && len(w.repos[repository])+len(w.loose[repository]) == 0, w.mute
}

func dig(c string) oci.Digest {
	d, err := oci.ParseDigest("sha256:" + strings.Repeat(c, 64))
	if err != nil {
		panic(err)
	}
	return d
}

func plain(t *testing.T, text string) *manifest.Tree {
	t.Helper()
	for _, c := range []string{"a", "b", "c", "d"} {
		text = strings.ReplaceAll(text, "$"+c, dig(c).String())
	}
	tree, err := manifest.Plain("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// plan returns each promotion and failure as a line.
func plan(t *testing.T, tree *manifest.Tree, h Holdings, opt Options) ([]string, *Summary) {
	t.Helper()
	var got []string
	sum, err := Make(t.Context(), tree, h, opt, func(p *Promotion) error {
		for _, to := range p.To {
			line := fmt.Sprintf("%s@%s -> %s", p.From, p.Digest.Hex()[:1], to.Repository)
			if to.Copy {
				line += " copy"
			}
			for _, tag := range to.Tags {
				line += " " + tag.Name
				if !tag.Was.IsZero() {
					line += "(" + tag.Was.Hex()[:1] + ")"
				}
				if tag.Merge {
					line += "+"
				}
			}
			got = append(got, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sum.Failures {
		got = append(got, fmt.Sprintf("%s %s %d", f.Class, strings.ReplaceAll(f.String(), strings.Repeat("a", 63), ""), f.Edges))
	}
	return got, sum
}

const registries = "registries: [{name: st.io/a, src: true}, {name: eu.io/p}, {name: us.io/p}]\n"

func TestMake(t *testing.T) {
	type repos = map[string]map[string]oci.Digest
	a, b, c := dig("a"), dig("b"), dig("c")
	fall := "sha256-" + strings.Repeat("c", 64)
	tests := []struct {
		name, images string
		world        *world
		opt          Options
		want         []string
		code         int
	}{
		{name: "new", images: `[{name: one, dmap: {$a: [v1, latest], $b: []}}]`,
			world: &world{repos: repos{"st.io/a/one": {"x": a, "y": b}}},
			want: []string{"st.io/a/one@a -> eu.io/p/one copy v1 latest", "st.io/a/one@a -> us.io/p/one copy v1 latest",
				"st.io/a/one@b -> eu.io/p/one copy", "st.io/a/one@b -> us.io/p/one copy"}},
		{name: "done", images: `[{name: one, dmap: {$a: [v1], $b: []}}]`,
			world: &world{repos: repos{"eu.io/p/one": {"v1": a, "z": b}, "us.io/p/one": {"v1": a, "z": b}}}},
		{name: "only a tag", images: `[{name: one, dmap: {$a: [v1, v2]}}]`,
			world: &world{repos: repos{"eu.io/p/one": {"v1": a}, "us.io/p/one": {"v1": a, "v2": a}}},
			want:  []string{"eu.io/p/one@a -> eu.io/p/one v2"}},
		{name: "moved", images: `[{name: one, dmap: {$a: [v1, v2]}}, {name: two, dmap: {$a: [v1]}}]`,
			world: &world{repos: repos{"st.io/a/one": {"x": a}, "st.io/a/two": {"x": a}, "eu.io/p/one": {"v1": b}, "us.io/p/one": {"v1": a, "v2": a}}},
			want: []string{"st.io/a/one@a -> eu.io/p/one copy v2", "st.io/a/two@a -> eu.io/p/two copy v1", "st.io/a/two@a -> us.io/p/two copy v1",
				"tag-moved eu.io/p/one:v1: the tag is " + b.String() + " there, not sha256:a 1"}, code: 33},
		{name: "moved and nothing else", images: `[{name: one, dmap: {$a: [v1]}}]`,
			world: &world{repos: repos{"st.io/a/one": {"x": a}, "eu.io/p/one": {"v1": b}, "us.io/p/one": {"v1": a}}},
			want:  []string{"tag-moved eu.io/p/one:v1: the tag is " + b.String() + " there, not sha256:a 1"}, code: 65},
		{name: "move allowed", images: `[{name: one, dmap: {$a: [v1, v2]}}]`, opt: Options{AllowMove: []string{"eu.io/p/one:v1", "one:v2"}},
			world: &world{repos: repos{"st.io/a/one": {"x": a}, "eu.io/p/one": {"v1": b, "v2": b}, "us.io/p/one": {"v1": a, "v2": b}}},
			want:  []string{"st.io/a/one@a -> eu.io/p/one copy v1(b) v2(b)", "st.io/a/one@a -> us.io/p/one v2(b)"}},
		{name: "source gone", images: `[{name: one, dmap: {$a: [v1]}}, {name: two, dmap: {$a: [v1], $b: [v2]}}]`,
			world: &world{repos: repos{"st.io/a/two": {"x": b}, "eu.io/p/one": {"v1": a}}},
			want: []string{"eu.io/p/one@a -> us.io/p/one copy v1", "st.io/a/two@b -> eu.io/p/two copy v2", "st.io/a/two@b -> us.io/p/two copy v2",
				"source-gone st.io/a/two@sha256:a: neither the source nor a destination has it 2"}, code: 34},
		{name: "source gone, a destination has it under another tag", images: `[{name: one, dmap: {$a: [v1]}}]`,
			world: &world{repos: repos{"eu.io/p/one": {"v1": b, "w": a}}},
			want: []string{"eu.io/p/one@a -> us.io/p/one copy v1",
				"tag-moved eu.io/p/one:v1: the tag is " + b.String() + " there, not sha256:a 1"}, code: 33},
		{name: "lost", images: `[{name: one, dmap: {$a: [v1]}}]`, opt: Options{Lost: Digests([]oci.Digest{a})}},
		{name: "fallback tags", images: `[{name: one, dmap: {$a: [` + fall + `, ` + fall + `.sig]}}]`,
			world: &world{repos: repos{"st.io/a/one": {"x": a}, "eu.io/p/one": {fall: b}, "us.io/p/one": {fall: a, fall + ".sig": c}}},
			want:  []string{"st.io/a/one@a -> eu.io/p/one copy " + fall + "(b)+ " + fall + ".sig", "st.io/a/one@a -> us.io/p/one " + fall + ".sig(c)+"}},
		{name: "a destination is down", images: `[{name: one, dmap: {$a: [v1], $b: []}}]`,
			world: &world{repos: repos{"st.io/a/one": {"x": a, "y": b}}, broken: map[string]error{"eu.io/p/one": errors.New("down")}},
			want:  []string{"st.io/a/one@a -> us.io/p/one copy v1", "st.io/a/one@b -> us.io/p/one copy", "registry eu.io/p/one: down 2"}, code: 36},
		{name: "the source is down", images: `[{name: one, dmap: {$a: [v1], $b: [v2]}}]`,
			world: &world{repos: repos{"us.io/p/one": {"v1": a}}, broken: map[string]error{"st.io/a/one": errors.New("down")}},
			want:  []string{"us.io/p/one@a -> eu.io/p/one copy v1", "registry st.io/a/one@" + b.String() + ": down 2"}, code: 36},
		{name: "all is down", images: `[{name: one, dmap: {$a: [v1]}}]`,
			world: &world{broken: map[string]error{"eu.io/p/one": errors.New("down"), "us.io/p/one": errors.New("down")}},
			want:  []string{"registry eu.io/p/one: down 1", "registry us.io/p/one: down 1"}, code: 68},
	}
	for _, tt := range tests {
		for _, google := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/google=%v", tt.name, google), func(t *testing.T) {
				w := &world{google: google}
				if tt.world != nil {
					w.repos, w.broken = tt.world.repos, tt.world.broken
				}
				got, sum := plan(t, plain(t, registries+"images: "+tt.images), w, tt.opt)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if sum.Code() != tt.code {
					t.Errorf("code %d, want %d", sum.Code(), tt.code)
				}
				if n := sum.Done + sum.Planned + sum.Lost + sum.Failed; n != sum.Edges {
					t.Errorf("%d of %d edges accounted for: %+v", n, sum.Edges, sum)
				}
				for r, n := range w.lists {
					if n != 1 {
						t.Errorf("%s was read %d times", r, n)
					}
				}
			})
		}
	}
}

// A list that is missing, empty or late is no proof. Planning asks for digests before it reports anything as gone,
// missing or moved.
func TestListsAreNoProof(t *testing.T) {
	type repos = map[string]map[string]oci.Digest
	type lists = map[string]*registry.Listing
	a, b := dig("a"), dig("b")
	all := map[string][]oci.Digest{"st.io/a/one": {a}, "eu.io/p/one": {a}, "us.io/p/one": {a}}
	empty := &registry.Listing{}         // "tags": null
	late := &registry.Listing{All: true} // Google's list, before the push
	before := &registry.Listing{All: true, Tags: []registry.Tag{{Name: "v1", Digest: b}}, Manifests: []registry.Listed{{Digest: b}}}
	byDigest, tagged := `[{name: one, dmap: {$a: []}}]`, `[{name: one, dmap: {$a: [v1]}}]`
	both := []string{"st.io/a/one@a -> eu.io/p/one copy", "st.io/a/one@a -> us.io/p/one copy"}
	for _, tt := range []struct {
		name, images string
		world        *world
		want         []string
		asked        int
	}{
		{"staging has digests only, 404", byDigest, &world{loose: map[string][]oci.Digest{"st.io/a/one": {a}}, stale: lists{"st.io/a/one": nil}}, both, 3},
		{"staging has digests only, null", byDigest, &world{loose: map[string][]oci.Digest{"st.io/a/one": {a}}, stale: lists{"st.io/a/one": empty}}, both, 3},
		{"staging lists late", byDigest, &world{loose: map[string][]oci.Digest{"st.io/a/one": {a}}, stale: lists{"st.io/a/one": late}}, both, 3},
		{"in place by digest, 404", byDigest, &world{loose: all, stale: lists{"eu.io/p/one": nil, "us.io/p/one": nil}}, nil, 2},
		{"in place by digest, null", byDigest, &world{loose: all, stale: lists{"eu.io/p/one": empty, "us.io/p/one": empty}}, nil, 2},
		{"in place with its tag, 404", tagged, &world{repos: repos{"eu.io/p/one": {"v1": a}, "us.io/p/one": {"v1": a}},
			stale: lists{"eu.io/p/one": nil, "us.io/p/one": nil}}, nil, 4},
		{"the list has the tag as it was", tagged, &world{repos: repos{"eu.io/p/one": {"v1": a}, "us.io/p/one": {"v1": a}},
			stale: lists{"eu.io/p/one": before}}, nil, 2},
		{"a new repository costs a question a digest", `[{name: one, dmap: {$a: [v1, v2, v3]}}]`, &world{repos: repos{"st.io/a/one": {"x": a}}},
			[]string{both[0] + " v1 v2 v3", both[1] + " v1 v2 v3"}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, sum := plan(t, plain(t, registries+"images: "+tt.images), tt.world, Options{})
			if diff := cmp.Diff(tt.want, got); diff != "" || sum.Code() != 0 {
				t.Errorf("code %d (-want +got)\n%s", sum.Code(), diff)
			}
			if tt.world.resolves != tt.asked {
				t.Errorf("%d questions, want %d", tt.world.resolves, tt.asked)
			}
		})
	}
}

// Exceptions that change nothing are reported, each with the reason. For a part of the manifests, only those exceptions
// are reported that concern that part, or concern nothing.
func TestIdle(t *testing.T) {
	a, b, c, d := dig("a"), dig("b"), dig("c"), dig("d")
	w := &world{repos: map[string]map[string]oci.Digest{"st.io/a/one": {"x": a, "y": b}, "eu.io/p/one": {"v1": b, "v2": b}, "us.io/p/one": {"v1": a, "v2": b}}}
	whole := plain(t, registries+`images: [{name: one, dmap: {$a: [v1], $b: [v2], $c: [v3]}}]`)
	part := Changes(plain(t, registries+`images: [{name: one, dmap: {$b: [v2]}}]`), whole)
	opt := Options{Lost: Digests([]oci.Digest{b, c, d}), Whole: whole,
		AllowMove: []string{"one:v1", "eu.io/p/one:v1", "us.io/p/one:v1", "one:v2", "one:v9", "nonsense"}}
	const noMove, unnamed, there = "the tag needs no move", "no manifest names it", "it is not gone: it is in place, or can be copied"
	for name, c := range map[string]struct {
		tree *manifest.Tree
		want []Idle
	}{
		"whole": {whole, []Idle{
			{"allow-tag-move", "nonsense", unnamed}, {"allow-tag-move", "one:v2", noMove}, {"allow-tag-move", "one:v9", unnamed},
			{"allow-tag-move", "us.io/p/one:v1", noMove}, {"lost", b.String(), there}, {"lost", d.String(), unnamed},
		}},
		"part": {part, []Idle{
			{"allow-tag-move", "nonsense", unnamed}, {"allow-tag-move", "one:v9", unnamed}, {"allow-tag-move", "us.io/p/one:v1", noMove},
			{"lost", d.String(), unnamed},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, sum := plan(t, c.tree, w, opt)
			if diff := cmp.Diff(c.want, sum.Idle); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if _, sum := plan(t, whole, w, Options{}); sum.Idle != nil {
		t.Errorf("without exceptions: %v", sum.Idle)
	}
}

// TestRequestsWhenDone: images in place cost one request per destination, and, if lists have no digests, one more per
// tag.
func TestRequestsWhenDone(t *testing.T) {
	tree := plain(t, registries+`images: [{name: one, dmap: {$a: [v1, v2], $b: [v3]}}]`)
	have := map[string]oci.Digest{"v1": dig("a"), "v2": dig("a"), "v3": dig("b")}
	for _, tt := range []struct {
		google   bool
		resolves int
	}{{true, 0}, {false, 6}} {
		w := &world{google: tt.google, repos: map[string]map[string]oci.Digest{"eu.io/p/one": have, "us.io/p/one": have}}
		if _, sum := plan(t, tree, w, Options{}); !sum.NothingToDo() {
			t.Fatalf("%+v", sum)
		}
		if len(w.lists) != 2 || w.resolves != tt.resolves {
			t.Errorf("google=%v: %d lists, %d other requests", tt.google, len(w.lists), w.resolves)
		}
	}
}

// TestMakeAgainstOracle compares plans for random worlds with a separate check of each edge. It then carries the plan
// out: a second plan has nothing to do.
func TestMakeAgainstOracle(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		pool := []oci.Digest{dig("a"), dig("b"), dig("c"), dig("d")}
		w := &world{google: r.IntN(2) == 0, repos: map[string]map[string]oci.Digest{}, loose: map[string][]oci.Digest{}, broken: map[string]error{}}
		for _, repo := range []string{"st.io/a/one", "st.io/a/two", "eu.io/p/one", "eu.io/p/two", "us.io/p/one", "us.io/p/two"} {
			if r.IntN(8) == 0 {
				w.broken[repo] = errors.New("down")
			}
			if r.IntN(4) == 0 {
				continue
			}
			w.repos[repo] = map[string]oci.Digest{}
			for n := range r.IntN(4) {
				w.repos[repo][fmt.Sprintf("v%d", n)] = pool[r.IntN(len(pool))]
			}
			w.loose[repo] = pool[:r.IntN(len(pool))]
		}
		var text strings.Builder
		for _, image := range []string{"one", "two"} {
			fmt.Fprintf(&text, "- {name: %s, dmap: {", image)
			for n, d := range pool[:1+r.IntN(3)] {
				fmt.Fprintf(&text, "%s: [%s], ", d, []string{"", fmt.Sprintf("v%d", n), fmt.Sprintf("v%d, w%d", n, n)}[r.IntN(3)])
			}
			text.WriteString("}}\n")
		}
		tree := plain(t, registries+"images:\n"+text.String())
		var got []string
		var carry []func()
		sum, err := Make(t.Context(), tree, w, Options{Parallel: 2}, func(p *Promotion) error {
			for _, to := range p.To {
				carry = append(carry, func() {
					if w.repos[to.Repository] == nil {
						w.repos[to.Repository] = map[string]oci.Digest{}
					}
					w.loose[to.Repository] = append(slices.Clone(w.loose[to.Repository]), p.Digest)
					for _, tag := range to.Tags {
						w.repos[to.Repository][tag.Name] = p.Digest
					}
				})
				if len(to.Tags) == 0 {
					got = append(got, to.Repository+"@"+p.Digest.String())
				}
				for _, tag := range to.Tags {
					got = append(got, to.Repository+":"+tag.Name+"@"+p.Digest.String())
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := oracle(tree, w)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: (-want +got)\n%s", seed, diff)
		}
		if n := sum.Done + sum.Planned + sum.Lost + sum.Failed; n != sum.Edges {
			t.Fatalf("seed %d: %d of %d edges accounted for", seed, n, sum.Edges)
		}
		for _, do := range carry {
			do()
		}
		again, err := Make(t.Context(), tree, w, Options{}, func(p *Promotion) error { return nil })
		if err != nil || again.Planned != 0 || again.Done != sum.Done+sum.Planned {
			t.Fatalf("seed %d: afterwards %+v, before %+v: %v", seed, again, sum, err)
		}
	}
}

// oracle checks every edge separately.
func oracle(tree *manifest.Tree, w *world) (want []string) {
	has := func(repo string, d oci.Digest) bool {
		for _, got := range w.repos[repo] {
			if got == d {
				return true
			}
		}
		return slices.Contains(w.loose[repo], d)
	}
	for p, i := range tree.Images() {
		for _, d := range i.Digests {
			src := p.Source.Repository(i.Name)
			there := w.broken[src] == nil && has(src, d.Digest)
			for _, to := range p.Destinations {
				repo := to.Repository(i.Name)
				there = there || w.broken[repo] == nil && has(repo, d.Digest)
			}
			for _, to := range p.Destinations {
				repo := to.Repository(i.Name)
				if w.broken[repo] != nil || !there {
					continue
				}
				if len(d.Tags) == 0 && !has(repo, d.Digest) {
					want = append(want, repo+"@"+d.Digest.String())
				}
				for _, tag := range d.Tags {
					if w.repos[repo][tag.Name].IsZero() {
						want = append(want, repo+":"+tag.Name+"@"+d.Digest.String())
					}
				}
			}
		}
	}
	return want
}

func TestMakeEnds(t *testing.T) {
	tree := plain(t, registries+`images: [{name: one, dmap: {$a: [v1]}}, {name: two, dmap: {$a: [v1]}}, {name: three, dmap: {$a: [v1]}}]`)
	w := &world{repos: map[string]map[string]oci.Digest{"st.io/a/one": {"x": dig("a")}, "st.io/a/two": {"x": dig("a")}}}
	full := errors.New("full")
	if _, err := Make(t.Context(), tree, w, Options{Parallel: 1}, func(*Promotion) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Make(ctx, tree, w, Options{Parallel: 1}, func(*Promotion) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
