package plan

import (
	"context"
	"math"
	"slices"

	"ociproxy/internal/plan/solve"
)

// usualNodes is how many nodes a search looks at when prices have steps.
const usualNodes = 2000

// stepped is a problem whose prices have steps. Its rates are the lowest that any set can get, and the bill of each set
// is exact.
type stepped struct {
	problem *solve.Problem
	bill    func(open []int) float64
	slack   float64 // which the bill has more than is true, so that it is never below the problem
}

// solve finds the best set by exact bills. Where no price has steps, the problem is exact. Otherwise the bound comes
// from the lowest rates that any set can get, and the search ends when nothing below that bound is left.
func (w *World) solve(ctx context.Context, opt solve.Options) (solve.Result, error) {
	if w.tariff.flat() {
		opt.Nodes = 0
		return solve.Solve(ctx, w.problem, opt)
	}
	s, err := w.stepped(ctx, &opt)
	if err != nil {
		return solve.Result{}, err
	}
	opt.Bill = s.bill
	r, err := solve.Solve(ctx, s.problem, opt)
	s.correct(&r)
	return r, err
}

// counts finds the best set for every number of stores, as [World.solve] does.
func (w *World) counts(ctx context.Context, how *Search, stage string) ([]solve.Result, error) {
	opt := w.begin(how, stage)
	problem := *w.problem
	s := &stepped{}
	if w.tariff.flat() {
		opt.Nodes = 0
	} else {
		var err error
		if s, err = w.stepped(ctx, &opt); err != nil {
			return nil, err
		}
		problem, opt.Bill = *s.problem, s.bill
	}
	problem.Min, problem.Max = len(w.fixed), len(w.fixed)+how.Stores
	list, err := solve.ByCount(ctx, &problem, opt)
	for i := range list {
		s.correct(&list[i])
	}
	return list, err
}

// stepped makes the problem of the lowest rates, and lets opt start from a good set.
func (w *World) stepped(ctx context.Context, opt *solve.Options) (*stepped, error) {
	if err := w.warm(ctx, opt); err != nil {
		return nil, err
	}
	low := w.at(w.lowest())
	s := &stepped{problem: low.problem, slack: low.tariff.slack()}
	s.problem.Budget = w.problem.Budget
	if s.problem.Budget > 0 {
		s.problem.Budget += s.slack
	}
	s.bill = func(open []int) float64 {
		o, err := w.Of(w.free(open))
		if err != nil {
			return math.Inf(1) // not reached: canonical, which every set has, is an option of each client
		}
		return o.Total() + s.slack
	}
	return s, nil
}

// at returns the same world with the problem at other rates. The bills of its sets are those of w.
func (w *World) at(how func(*tariff) rates) *World {
	v, t, p := *w, *w.tariff, *w.problem
	v.tariff, v.problem, t.w = &t, &p, &v
	t.choose(how)
	p.Sites = slices.Clone(p.Sites)
	for i := range p.Sites {
		p.Sites[i].USD = t.site(i)
	}
	priced := func(k int, options []solve.Option) []solve.Option {
		options = slices.Clone(options)
		for i := range options {
			options[i].USD = t.serve(k, options[i].Site)
		}
		return options
	}
	p.Clients = slices.Clone(p.Clients)
	for k := range p.Clients {
		c := &p.Clients[k]
		c.Options = priced(k, c.Options)
		for i := range c.Options {
			c.Options[i].Instead = priced(k, c.Options[i].Instead)
		}
	}
	return &v
}

// warm lets a search start from the best set at the rates that a bill has: those of a payer who uses little, then those
// of the set that is best at them.
func (w *World) warm(ctx context.Context, opt *solve.Options) error {
	at, how := w, *opt
	how.Bill = nil
	for range 2 {
		problem := *at.problem
		problem.Budget = 0 // the rates are no bound
		r, err := solve.Solve(ctx, &problem, how)
		if err != nil {
			return err
		}
		o, err := w.Of(w.free(r.Open))
		if err != nil {
			return err
		}
		opt.Start, how.Start = r.Open, r.Open
		at = w.at(of(w.tariff.book.BillAfter(w.tariff.uses(o), w.tariff.before)))
	}
	return nil
}

// correct takes the slack back out of a result. Where only the round trips count, the objective has none.
func (s *stepped) correct(r *solve.Result) {
	r.USD -= s.slack
	if s.problem != nil && !math.IsInf(s.problem.PerMS, 1) {
		r.Objective, r.Bound = r.Objective-s.slack, r.Bound-s.slack
	}
}
