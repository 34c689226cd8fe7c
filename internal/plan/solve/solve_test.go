package solve_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/plan/solve"
	"ociproxy/internal/plan/solve/solvetest"
)

func solved(t *testing.T, p *solve.Problem, opt solve.Options) solve.Result {
	t.Helper()
	r, err := solve.Solve(t.Context(), p, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRulesNeverHelp: whatever takes sets away or adds costs never lowers the optimum.
func TestRulesNeverHelp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for seed := range uint64(6) {
		p := solvetest.Map(seed, 20, 80, 0.2)
		was := solved(t, p, solve.Options{})
		worse := func(what string, change func(p *solve.Problem)) {
			t.Helper()
			q := *p
			q.Sites = slices.Clone(p.Sites)
			change(&q)
			if r := solved(t, &q, solve.Options{}); r.Objective < was.Objective*(1-1e-9) || !r.Proven {
				t.Errorf("seed %d: %s: %v, without %v", seed, what, r.Objective, was.Objective)
			}
		}
		s := rng.IntN(20)
		worse("a site that must be open", func(p *solve.Problem) { p.Sites[s].Must = true })
		worse("a site that is never open", func(p *solve.Problem) { p.Sites[s].Never = true })
		worse("a dearer site", func(p *solve.Problem) { p.Sites[s].USD += 100 })
		worse("a number of sites", func(p *solve.Problem) { p.Min, p.Max = 3, 3 })
		worse("a group", func(p *solve.Problem) { p.Groups = []solve.Group{{Sites: []int{0, 1, 2, 3, 4}, Min: 2}} })
		worse("replication", func(p *solve.Problem) { p.Count = []float64{0, 0, 50, 100, 150} })
	}
}

func TestSameResultTwice(t *testing.T) {
	for _, i := range solvetest.Instances(20, 60) {
		first, second := solved(t, i.Problem, solve.Options{}), solved(t, i.Problem, solve.Options{})
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s: %s", i.Name, diff)
		}
	}
}

// TestTwins: of sites that nothing tells apart, the first is chosen.
func TestTwins(t *testing.T) {
	p := solvetest.Map(1, 12, 80, 0.2)
	n := len(p.Sites)
	p.Sites = append(p.Sites, p.Sites...)
	for c := range p.Clients {
		options := p.Clients[c].Options
		var twice []solve.Option
		for _, o := range options {
			twice = append(twice, o)
			if o.Site != solve.Always {
				o.Site += n
				twice = append(twice, o)
			}
		}
		p.Clients[c].Options = twice
	}
	if r := solved(t, p, solve.Options{}); len(r.Open) == 0 || slices.Max(r.Open) >= n {
		t.Errorf("open: %v, want sites below %d", r.Open, n)
	}
}

// TestEarlyEnd: a search that is ended returns a set, and a bound that holds.
func TestEarlyEnd(t *testing.T) {
	p := solvetest.Uniform(8, 30, 100)
	best := solved(t, p, solve.Options{})
	var last solve.Progress
	r := solved(t, p, solve.Options{Nodes: 3, Progress: func(p solve.Progress) { last = p }})
	if r.Proven || r.Nodes != 3 || r.Bound > best.Objective || r.Objective < best.Objective || r.Bound >= r.Objective ||
		!(r.Gap() > 0) {
		t.Errorf("three nodes: %+v, gap %v, optimum %+v", r, r.Gap(), best)
	}
	if last.Nodes == 0 || last.Bound > best.Objective || last.Objective < best.Objective {
		t.Errorf("progress: %+v", last)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("Ctrl-C")
	r, err := solve.Solve(ctx, p, solve.Options{Progress: func(solve.Progress) { cancel(why) }})
	if err != nil || r.Proven || r.Bound > best.Objective || r.Objective < best.Objective {
		t.Errorf("cancelled: %+v, %v", r, err)
	}
	if sets, err := solve.ByCount(ctx, p, solve.Options{}); !errors.Is(err, why) {
		t.Errorf("cancelled: %d sets, %v", len(sets), err)
	}
	if r := solved(t, p, solve.Options{Time: 1}); r.Proven || !math.IsInf(r.Bound, -1) && r.Bound > best.Objective {
		t.Errorf("a nanosecond: %+v", r)
	}
}

// TestCounts: each further site that must be open changes the best set's value as brute force would have it; here only
// that the least of all numbers is the optimum.
func TestCounts(t *testing.T) {
	p := solvetest.Map(2, 15, 80, 0.2)
	best := solved(t, p, solve.Options{})
	sets, err := solve.ByCount(t.Context(), p, solve.Options{})
	if err != nil || len(sets) != 16 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	least := math.Inf(1)
	for k, r := range sets {
		if len(r.Open) != k || !r.Proven {
			t.Errorf("%d sites: %+v", k, r)
		}
		least = min(least, r.Objective)
	}
	if math.Abs(least/best.Objective-1) > 1e-9 {
		t.Errorf("the best of all numbers is %v, the best set %v", least, best.Objective)
	}
}

func TestFaults(t *testing.T) {
	option := []solve.Option{{Site: 0, USD: 1}}
	for want, p := range map[string]*solve.Problem{
		"PerMS":                     {PerMS: -1},
		"Budget":                    {Budget: math.NaN()},
		"site 0: USD":               {Sites: []solve.Site{{USD: math.Inf(1)}}},
		"group 0: unknown site":     {Groups: []solve.Group{{Sites: []int{0}}}},
		"client 0: option 0":        {Clients: []solve.Client{{Options: option}}},
		"client 0: unknown site":    {Clients: []solve.Client{{Inside: []int{-1}}}},
		solve.ErrInfeasible.Error(): {Clients: []solve.Client{{}}},
	} {
		if _, err := solve.Solve(t.Context(), p, solve.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
