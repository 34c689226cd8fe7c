package plan

import (
	"cmp"
	"fmt"
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

// Compare prices opt.Config and another config against the same demand. Each active store counts as if its rollout were
// 100 %. matrix has the measured round trips that the other config names.
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
	a, err := was.now()
	if err != nil {
		return nil, err
	}
	b, err := is.now()
	if err != nil {
		return nil, err
	}
	out := &Comparison{
		TBMonth: price.TB.Of(opt.Demand.Bytes()), Was: was.side(a), Is: is.side(b), Moved: []Move{}, Notes: slices.Concat(was.Notes, is.Notes),
		Stores: snapshot.Differ(other, opt.Config),
	}
	slices.Sort(out.Notes)
	out.Notes = append([]string{}, slices.Compact(out.Notes)...)
	for k := range was.clients {
		c, from, to := &was.clients[k], a.by[k], b.by[k]
		if was.Candidates[from].Name == is.Candidates[to].Name || c.Bytes == 0 {
			continue
		}
		out.Moved = append(out.Moved, Move{
			Client: c.Name(), Bytes: c.Bytes, Was: was.Candidates[from].Name, Is: is.Candidates[to].Name, USD: b.usd[k] - a.usd[k],
			RTTWas: c.rtt[from], RTTIs: is.clients[k].rtt[to],
		})
	}
	slices.SortStableFunc(out.Moved, func(x, y Move) int { return cmp.Compare(y.Bytes, x.Bytes) })
	return out, nil
}

// now returns the outcome of the stores that are active, when the server's router agrees.
func (w *World) now() (*Outcome, error) {
	o, err := w.checked(w.today)
	if err != nil {
		return nil, fmt.Errorf("the stores of today: %w", err)
	}
	return o, nil
}

func (w *World) side(o *Outcome) Side {
	s := Side{Regions: []Region{}, Money: o.Money, TotalUSD: o.Total(), FillUSD: o.Fill, MeanMS: o.Mean, P95MS: o.P95}
	for _, i := range o.Open {
		c := &w.Candidates[i]
		s.Regions = append(s.Regions, Region{c.Name, c.Site.Place.String(), !w.isFilled(i)})
	}
	return s
}
