package plan

import (
	"slices"

	"ociproxy/internal/config"
	"ociproxy/internal/price"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// Side is what a config costs. Only add fields; never remove one.
type Side struct {
	Regions []Region `json:"regions"` // without CDNs and stores without a bucket
	Money
	TotalUSD float64 `json:"totalUSD"` // a month
	FillUSD  float64 `json:"fillUSD"`  // once: stores that the first config does not have
	MeanMS   float64 `json:"meanMs"`   // weighted by bytes
	P95MS    float64 `json:"p95Ms"`
}

// Comparison prices two configs against the same demand. Only add fields; never remove one.
type Comparison struct {
	TBMonth float64  `json:"tbMonth"`
	Was     Side     `json:"was"`
	Is      Side     `json:"is"`
	Stores  []string `json:"stores"` // stores and upstreams that differ, and in which keys
	Moved   []Move   `json:"moved"`  // clients that go elsewhere, those with most bytes first
	Notes   []string `json:"notes"`
}

// Compare prices opt.Config and another config against the same demand, as the server's router decides. Rollouts count:
// a store has the share of each client's networks that the server gives it. matrix has the measured round trips that the
// other config names.
func Compare(opt Options, other *config.Config, matrix route.Matrix) (*Comparison, error) {
	opt.Rules = Rules{Only: []string{}}
	was, err := New(opt)
	if err != nil {
		return nil, err
	}
	next := opt
	next.Config, next.Matrix, next.CostWeight, next.filled = other, matrix, nil, map[string]bool{}
	for i := range was.Candidates {
		if was.isFilled(i) {
			next.filled[was.Candidates[i].Name] = true
		}
	}
	is, err := New(next)
	if err != nil {
		return nil, err
	}
	r := newRollouts(was, is)
	for k := range was.clients {
		if err := r.find(k, 1, map[string]percentiles{}); err != nil {
			return nil, err
		}
	}
	a, b := r.outcome(0), r.outcome(1)
	out := &Comparison{
		TBMonth: price.TB.Of(opt.Demand.Bytes()), Was: was.side(a), Is: is.side(b), Moved: r.moved(a, b), Notes: slices.Concat(was.Notes, is.Notes),
		Stores: snapshot.Differ(other, opt.Config),
	}
	slices.Sort(out.Notes)
	out.Notes = append([]string{}, slices.Compact(out.Notes)...)
	return out, nil
}

func (w *World) side(o *Outcome) Side {
	s := Side{Regions: []Region{}, Money: o.Money, TotalUSD: o.Total(), FillUSD: o.Fill, MeanMS: o.Mean, P95MS: o.P95}
	for _, i := range o.Open {
		s.Regions = append(s.Regions, w.region(o, i, !w.isFilled(i)))
	}
	return s
}
