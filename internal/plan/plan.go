package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"ociproxy/internal/plan/solve"
	"ociproxy/internal/price"
)

// Plan is what [Make] finds. Only add fields; never remove one.
type Plan struct {
	TBMonth    float64 `json:"tbMonth"`    // the demand, in 10^12 bytes
	Places     int     `json:"places"`     // that it comes from
	Candidates int     `json:"candidates"` // stores of today and possible ones, without those that every set has
	CostWeight float64 `json:"costWeight"`
	// MSValue is what a millisecond less is worth for each TB, in USD; absent when the money does not count at all.
	MSValue  float64  `json:"msValueUSD,omitempty"`
	Months   float64  `json:"months"`
	Stored   float64  `json:"storedBytes"`
	Growth   float64  `json:"growthBytes"`
	Hot      float64  `json:"hot,omitempty"`      // share of the stored bytes that new stores hold
	HotBytes float64  `json:"hotBytes,omitempty"` // share of the downloaded bytes that is of them
	Today    *Answer  `json:"today"`
	Adding   []Change `json:"adding"`
	Removing []Change `json:"removing"`
	Best     *Answer  `json:"best"`     // of all sets; absent when the search was ended before
	ByCount  []Answer `json:"byCount"`  // the best set for every number of stores
	Frontier []Answer `json:"frontier"` // no other set has less money and a shorter mean round trip
	Notes    []string `json:"notes"`
	// FirstStep says that some prices have steps, that nothing says at which of them the accounts are, and that the plan
	// begins each at its first step.
	FirstStep bool `json:"firstStep"`
	// Ended says that the search was ended before it was through: what is there was found until then.
	Ended bool `json:"ended"`
}

// Search says how long and how far to search.
type Search struct {
	// Stores is the largest number for ByCount; 0: four more than today, or one more than the best set has.
	Stores int
	// Time is the most for one search; 0: any.
	Time time.Duration
	// Nodes is the most that one search looks at when prices have steps; 0: a number after which more is seldom won.
	Nodes int
	// Progress is told what is done; it may be nil.
	Progress func(stage string, p solve.Progress)
}

func (s *Search) options(stage string) solve.Options {
	o := solve.Options{Time: s.Time, Nodes: cmp.Or(s.Nodes, usualNodes)}
	if s.Progress != nil {
		o.Progress = func(p solve.Progress) { s.Progress(stage, p) }
	}
	return o
}

// Make makes a plan. When ctx ends, the plan has what was found until then, and Ended is set. The error is a [*Refusal],
// [solve.ErrInfeasible], or says where the plan and the server's router differ.
func Make(ctx context.Context, opt Options, how Search) (*Plan, error) {
	w, err := New(opt)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		TBMonth: price.TB.Of(w.opt.Demand.Bytes()), Places: len(w.opt.Demand.Clients), CostWeight: w.weight, Months: w.opt.Months,
		Stored: w.opt.Stored, Growth: w.opt.Growth, ByCount: []Answer{}, Frontier: []Answer{}, Notes: w.Notes, FirstStep: w.begins,
	}
	if p.Notes == nil {
		p.Notes = []string{}
	}
	if !math.IsInf(w.perMS, 1) {
		p.MSValue = w.perMS * price.GB.Of(price.TB.Size())
	}
	if w.opt.Hot {
		p.Hot, p.HotBytes = w.opt.Demand.HotStored, w.opt.Demand.hotBytes()
	}
	for i := range w.Candidates {
		c := &w.Candidates[i]
		if !c.Fixed {
			p.Candidates++
		}
		if c.Exists && c.store != nil && c.store.Rollout < allPercentiles {
			p.Notes = append(p.Notes, fmt.Sprintf("%s has a rollout of %d %%: the plan counts it as 100 %%.", c.Name, c.store.Rollout))
		}
	}
	if p.Today, err = w.answer(w.today); err != nil {
		return nil, fmt.Errorf("today: %w", err)
	}
	if err := w.losses(p.Today); err != nil {
		return nil, err
	}
	if p.Adding, p.Removing, err = w.Changes(); err != nil {
		return nil, err
	}
	return p, w.search(ctx, p, &how)
}

// search finds the best sets, as far as ctx lets it.
func (w *World) search(ctx context.Context, p *Plan, how *Search) error {
	best, err := w.solve(ctx, w.begin(how, "best set"))
	if err != nil {
		return ended(ctx, p, err)
	}
	if p.Best, err = w.result(&best); err != nil {
		return err
	}
	if how.Stores == 0 {
		how.Stores = max(len(w.today)+4, len(p.Best.set)+1)
	}
	for _, step := range []func() error{
		func() error { return w.byCount(ctx, p, how) },
		func() error { return w.frontier(ctx, p, how) },
		func() error { return w.survival(ctx, p, how) },
	} {
		if err := step(); err != nil {
			return ended(ctx, p, err)
		}
	}
	p.Ended = ctx.Err() != nil
	return nil
}

// ended tells the end of ctx, after which the plan has less, from other errors.
func ended(ctx context.Context, p *Plan, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
		p.Ended = true
		return nil
	}
	return err
}

// begin makes the options of a search that starts from today.
func (w *World) begin(how *Search, stage string) solve.Options {
	o := how.options(stage)
	o.Start = w.whole(w.today)
	return o
}

// result makes the answer of a result.
func (w *World) result(r *solve.Result) (*Answer, error) {
	a, err := w.answer(w.free(r.Open))
	if err != nil {
		return nil, err
	}
	if worth := a.outcome.worth(w); worth > 0 {
		a.Gap = max(0, (worth-r.Bound)/worth)
	}
	a.Estimated = len(w.loose) > 0
	if a.Gap < 1e-9 {
		a.Gap, a.Proven = 0, !a.Estimated
	}
	if !math.IsInf(w.perMS, 1) {
		a.BoundUSD = min(r.Bound, a.WorthUSD)
	}
	return a, w.losses(a)
}

// byCount finds the best set for every number of stores.
func (w *World) byCount(ctx context.Context, p *Plan, how *Search) error {
	list, err := w.counts(ctx, how, "best set for each number of stores")
	switch {
	case errors.Is(err, solve.ErrInfeasible):
		return nil // the rules ask for more stores
	case err != nil && len(list) == 0:
		return err
	}
	for i := range list {
		a, err := w.result(&list[i])
		if err != nil {
			return err
		}
		p.ByCount = append(p.ByCount, *a)
	}
	return err
}

// hotBytes returns the share of the demand that is of hot digests.
func (d *Demand) hotBytes() float64 {
	hot := 0.0
	for i := range d.Clients {
		hot += d.Clients[i].Bytes * d.Clients[i].Hot
	}
	return hot / d.Bytes()
}

// weights are the cost weights that the frontier tries, as factors of a round figure.
var weights = []float64{0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 2000}

// frontier finds sets for many cost weights, each with the round trip at the worth that the weight gives it: the server
// then decides as the plan does. Sets that another one beats in money and round trip are left out.
func (w *World) frontier(ctx context.Context, p *Plan, how *Search) error {
	var all []Answer
	for i, weight := range weights {
		opt := w.opt
		opt.CostWeight, opt.MSValue = &weight, nil
		v, err := New(opt)
		if err != nil {
			return err
		}
		search := v.begin(how, "money against round trip")
		if report := search.Progress; report != nil {
			search.Progress = func(p solve.Progress) { p.Set, p.Sets = i+1, len(weights); report(p) }
		}
		if len(all) > 0 {
			search.Start = v.whole(all[len(all)-1].set)
		}
		r, err := v.solve(ctx, search)
		if errors.Is(err, solve.ErrInfeasible) {
			continue
		}
		if err != nil {
			return err
		}
		a, err := v.result(&r)
		if err != nil {
			return err
		}
		all = append(all, *a)
		if ctx.Err() != nil {
			break
		}
	}
	for i := range all {
		a := &all[i]
		beaten := slices.ContainsFunc(all, func(b Answer) bool {
			return b.TotalUSD <= a.TotalUSD && b.MeanMS <= a.MeanMS && (b.TotalUSD < a.TotalUSD || b.MeanMS < a.MeanMS)
		})
		twin := slices.ContainsFunc(p.Frontier, func(b Answer) bool { return b.TotalUSD == a.TotalUSD && b.MeanMS == a.MeanMS })
		if !beaten && !twin {
			p.Frontier = append(p.Frontier, *a)
		}
	}
	slices.SortFunc(p.Frontier, func(a, b Answer) int {
		if a.TotalUSD < b.TotalUSD {
			return -1
		}
		return 1
	})
	return ctx.Err()
}
