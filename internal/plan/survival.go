package plan

import (
	"context"
	"errors"
	"slices"

	"ociproxy/internal/plan/solve"
)

// Case is what becomes of an answer when prices or demand are not as assumed. Only add fields; never remove one.
type Case struct {
	Name     string   `json:"case"` // such as "prices +20%"
	Survives bool     `json:"survives"`
	Added    []string `json:"added"`   // places of the stores that the best set then has, and the answer does not
	Removed  []string `json:"removed"` // names of the stores that it is then without
	// Regret is what the answer is then worth less than the best set, in USD a month.
	Regret float64 `json:"regretUSD"`
}

// cases are what the answers must survive.
var cases = []struct {
	name           string
	prices, volume float64
	last           bool // only where it is not known at which step prices begin
}{
	{"prices -20%", 0.8, 1, false}, {"prices +20%", 1.2, 1, false}, {"demand -20%", 1, 0.8, false}, {"demand +20%", 1, 1.2, false},
	{"prices at their last step", 1, 1, true},
}

// survival solves the plan again for each case: for the best set, and for each number of stores.
func (w *World) survival(ctx context.Context, p *Plan, how *Search) error {
	for i := range cases {
		c := &cases[i]
		opt := w.opt
		if c.last && !w.begins {
			continue
		}
		opt.Prices, opt.Volume, opt.last = c.prices, c.volume, c.last
		v, err := New(opt)
		if err != nil {
			return err
		}
		v.problem.Budget = 0 // a plan that is over its budget then is still the plan
		stage := "the same with " + c.name
		search := v.begin(how, stage)
		search.Start = v.whole(p.Best.set)
		best, err := v.solve(ctx, search)
		if err != nil {
			return err
		}
		if err := v.compare(p.Best, c.name, &best); err != nil {
			return err
		}
		list, err := v.counts(ctx, how, stage)
		if err != nil && !errors.Is(err, solve.ErrInfeasible) {
			return err
		}
		if err := w.frontierSurvives(ctx, p, how, c.name, &opt); err != nil {
			return err
		}
		for k := range p.ByCount {
			a := &p.ByCount[k]
			at := slices.IndexFunc(list, func(r solve.Result) bool { return len(v.free(r.Open)) == len(a.set) })
			if at < 0 {
				continue
			}
			if err := v.compare(a, c.name, &list[at]); err != nil {
				return err
			}
		}
	}
	return nil
}

// frontierSurvives solves the sets of the frontier again, each at its cost weight.
func (w *World) frontierSurvives(ctx context.Context, p *Plan, how *Search, name string, opt *Options) error {
	for k := range p.Frontier {
		a := &p.Frontier[k]
		its := *opt
		its.CostWeight, its.MSValue = &a.CostWeight, nil
		v, err := New(its)
		if err != nil {
			return err
		}
		v.problem.Budget = 0
		search := v.begin(how, "money against round trip with "+name)
		search.Start = v.whole(a.set)
		r, err := v.solve(ctx, search)
		if err != nil {
			return err
		}
		if err := v.compare(a, name, &r); err != nil {
			return err
		}
	}
	return nil
}

// compare says whether an answer is still the best set in the world of a case.
func (v *World) compare(a *Answer, name string, best *solve.Result) error {
	is, err := v.Replay(v.free(best.Open))
	if err != nil {
		return err
	}
	was, err := v.Replay(a.set)
	if err != nil {
		return err
	}
	c := Case{Name: name, Added: []string{}, Removed: []string{}}
	c.Regret = max(0, was.worth(v)-is.worth(v))
	for _, i := range is.Open {
		if !slices.Contains(was.Open, i) {
			c.Added = append(c.Added, v.Candidates[i].Site.Place.String())
		}
	}
	for _, i := range was.Open {
		if !slices.Contains(is.Open, i) {
			c.Removed = append(c.Removed, v.Candidates[i].Name)
		}
	}
	c.Survives = len(c.Added)+len(c.Removed) == 0
	a.Survives = append(a.Survives, c)
	return nil
}
