package apply

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/manifest"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/thorough"
)

// release returns a world with what real releases have: an index whose images share a layer, a signature under cosign's
// tag, a referrer, an image without a tag, and nested destinations.
func release(t testing.TB) (*world, *manifest.Tree) {
	w := newWorld(t, 2, 2)
	one := w.source.Index("st/one", "v1", w.image("st/one", "", nil, "base", "amd"), w.image("st/one", "", nil, "base", "arm"))
	w.image("st/one", registry.FallbackTag(digestOf(t, one.Digest.String()))+".sig", nil, "signature")
	w.image("st/one", "", &one, "attestation")
	two := w.image("st/two", "v1", nil, "base", "two")
	images := fmt.Sprintf("- {name: one, dmap: {%q: [v1, latest]}}\n- {name: two, dmap: {%q: []}}\n", one.Digest, two.Digest)
	return w, w.tree(images, w.hosts[0].Host+"/prod", w.hosts[0].Host+"/prod/nested", w.hosts[1].Host+"/prod")
}

// finished checks that there is nothing left to do, and that all destinations are equal.
func (w *world) finished(tree *manifest.Tree) {
	w.t.Helper()
	regs := registries()
	defer regs.Close()
	s, err := promote.Make(context.Background(), tree, regs, promote.Options{}, func(p *promote.Promotion) error {
		w.t.Errorf("left to do: %+v", p)
		return nil
	})
	if err != nil || !s.NothingToDo() {
		w.t.Errorf("the plan is not empty: %+v, %v", s, err)
	}
}

// TestCrash lets a run die at each of its writes, before and after the write takes effect, and runs again. The world
// watches every write of both runs. The result must be that of a run that did not die.
func TestCrash(t *testing.T) {
	w, tree := release(t)
	w.must(w.plan(tree), Done)
	w.finished(tree)
	total := w.writes
	if total < 40 {
		t.Fatalf("only %d writes were seen", total)
	}
	step := thorough.Step(9)
	for _, kind := range []fault{failed, unclear} {
		for n := 1; n <= total; n += step {
			t.Run(fmt.Sprintf("%d/%d", kind, n), func(t *testing.T) {
				t.Parallel()
				crash(t, n, kind)
			})
		}
	}
}

var errKill = errors.New("killed")

func crash(t *testing.T, n int, kind fault) {
	w, tree := release(t)
	plan := w.plan(tree)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	w.faults(func(i int, _ string) fault {
		if i < n {
			return fine
		}
		w.dead = true
		cancel(errKill)
		if i == n {
			return kind
		}
		return failed
	})
	r, err := w.apply(ctx, plan)
	if err == nil && r.Result != Interrupted && w.writes >= n && r.Result != Done {
		t.Errorf("the run that died ended with %q: %v", r.Result, r.Failures)
	}
	w.faults(nil)
	// The same plan continues, and a new plan finds what is left.
	if r := w.must(plan, anyOf(w, plan)); len(r.Failures) > 0 {
		t.Errorf("the second run: %v", r.Failures)
	}
	w.finished(tree)
	w.same()
}

// anyOf returns how the second run of a plan may end: everything may be done already.
func anyOf(w *world, p *Plan) Result {
	for one := range p.All() {
		for _, to := range one.To {
			h := w.host(to.Repository)
			name := to.Repository[len(h.Host)+1:]
			for _, tag := range to.Tags {
				if h.has(name+":"+tag.Name) != one.Digest.String() {
					return Done
				}
			}
			if len(to.Tags) == 0 {
				return Done // it is put once more
			}
		}
	}
	return Nothing
}

func (w *world) host(repository string) *place {
	name, _, _ := promote.SplitRepository(repository)
	for _, h := range w.hosts {
		if h.Host == name {
			return h
		}
	}
	w.t.Fatalf("no host of %s", repository)
	return nil
}

// same compares the destinations: each must have everything.
func (w *world) same() {
	w.t.Helper()
	a, b := w.hosts[0], w.hosts[1]
	var prod []string
	for _, line := range a.Content() {
		if len(line) > 11 && line[:11] != "prod/nested" {
			prod = append(prod, line)
		}
	}
	if diff := cmp.Diff(prod, b.Content()); diff != "" {
		w.t.Errorf("destinations differ (-a +b)\n%s", diff)
	}
	if len(prod) < 10 {
		w.t.Errorf("too little is there: %v", prod)
	}
}

// TestFaultsPass lets single writes fail while the run continues. The run may end partly done, and the next one
// finishes.
func TestFaultsPass(t *testing.T) {
	for _, kind := range []fault{failed, unclear} {
		for n := 1; n <= 130; n += thorough.Step(17) {
			t.Run(fmt.Sprintf("%d/%d", kind, n), func(t *testing.T) {
				t.Parallel()
				w, tree := release(t)
				w.lax = true // healthy stores are enough, and a store whose inventory cannot be written is not healthy
				w.faults(func(i int, _ string) fault {
					if i == n {
						return kind
					}
					return fine
				})
				if _, err := w.apply(t.Context(), w.plan(tree)); err != nil {
					t.Fatal(err)
				}
				w.faults(nil)
				if plan := w.plan(tree); plan.Promotions > 0 {
					w.must(plan, Done)
				}
				w.finished(tree)
				w.same()
			})
		}
	}
}
