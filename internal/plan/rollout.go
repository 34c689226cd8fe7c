package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// part is the part of a client's networks that two configs send to one candidate each.
type part struct {
	client  int
	share   float64 // of the client, above 0 to 1
	was, is int     // candidates of the worlds
}

// percentiles are those that a client network may have at a store: from the first to before the second one. The server
// draws them for each store and network, evenly and independently of the config. A network is in the rollout of a store
// when its percentile is below it.
type percentiles [2]int

const allPercentiles = 100

// rollouts finds which part of each client goes where in two worlds of the same clients, as their configs say it.
type rollouts struct {
	worlds  [2]*World
	routers [2]map[string]*router // by the stores that keep nobody
	parts   []part
}

func newRollouts(was, is *World) *rollouts {
	return &rollouts{worlds: [2]*World{was, is}, routers: [2]map[string]*router{{}, {}}}
}

// find adds the parts of a client. known has what is known about the percentiles of a part of its networks, by store.
// While a decision depends on what is not known, the part is divided.
func (r *rollouts) find(client int, share float64, known map[string]percentiles) error {
	var to [2]int
	for side, w := range r.worlds {
		i, err := r.decide(side, client, known)
		if err != nil {
			return err
		}
		to[side] = i
		c := &w.Candidates[i]
		if c.store == nil {
			continue
		}
		p, limit := of100(known, c.Name), c.store.Rollout
		if limit <= p[0] || limit >= p[1] {
			continue
		}
		for _, half := range []percentiles{{p[0], limit}, {limit, p[1]}} {
			also := maps.Clone(known)
			also[c.Name] = half
			if err := r.find(client, share*float64(half[1]-half[0])/float64(p[1]-p[0]), also); err != nil {
				return err
			}
		}
		return nil
	}
	for k := range r.parts {
		if p := &r.parts[k]; p.client == client && p.was == to[0] && p.is == to[1] {
			p.share += share
			return nil
		}
	}
	r.parts = append(r.parts, part{client, share, to[0], to[1]})
	return nil
}

// of100 returns what is known about the percentiles at a store.
func of100(known map[string]percentiles, store string) percentiles {
	if p, ok := known[store]; ok {
		return p
	}
	return percentiles{0, allPercentiles}
}

// decide asks the router of a side: stores whose rollout cannot have the part have no rollout, the others have all.
func (r *rollouts) decide(side, client int, known map[string]percentiles) (int, error) {
	w, kept := r.worlds[side], map[string]bool{}
	for i := range w.Candidates {
		if s := w.Candidates[i].store; s != nil && w.Candidates[i].Exists && of100(known, s.Name)[0] >= s.Rollout {
			kept[s.Name] = true
		}
	}
	key := strings.Join(slices.Sorted(maps.Keys(kept)), " ")
	at := r.routers[side][key]
	if at == nil {
		var err error
		if at, err = w.router(w.today, kept); err != nil {
			return 0, fmt.Errorf("the stores of today: %w", err)
		}
		r.routers[side][key] = at
	}
	return at.decide(client)
}

// outcome prices the parts in the world of a side.
func (r *rollouts) outcome(side int) *Outcome {
	w := r.worlds[side]
	v, t := *w, *w.tariff
	v.tariff, t.w = &t, &v
	v.clients, t.transfers, t.requests = nil, nil, nil
	var by []int
	for _, p := range r.parts {
		c := w.clients[p.client]
		c.Bytes, c.Requests = c.Bytes*p.share, c.Requests*p.share
		v.clients = append(v.clients, c)
		t.transfers = append(t.transfers, w.tariff.transfers[p.client])
		t.requests = append(t.requests, w.tariff.requests[p.client])
		by = append(by, []int{p.was, p.is}[side])
	}
	return v.outcome(w.today, by)
}

// moved lists the parts that go elsewhere.
func (r *rollouts) moved(was, is *Outcome) []Move {
	moved := []Move{}
	a, b := r.worlds[0], r.worlds[1]
	for k, p := range r.parts {
		from, to, c := a.Candidates[p.was].Name, b.Candidates[p.is].Name, &a.clients[p.client]
		if bytes := c.Bytes * p.share; bytes > 0 && from != to {
			moved = append(moved, Move{
				Client: c.Name(), Bytes: bytes, Was: from, Is: to, USD: is.usd[k] - was.usd[k],
				RTTWas: c.rtt[p.was], RTTIs: b.clients[p.client].rtt[p.is],
			})
		}
	}
	slices.SortStableFunc(moved, func(x, y Move) int { return cmp.Compare(y.Bytes, x.Bytes) })
	return moved
}
