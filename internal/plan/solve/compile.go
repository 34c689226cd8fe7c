package solve

import (
	"encoding/binary"
	"math"
	"slices"
)

// weights turn money and milliseconds into the number that is minimized.
type weights struct{ usd, ms float64 }

func (w weights) of(usd, ms float64) float64 { return w.usd*usd + w.ms*ms }

func (p *Problem) weights() weights {
	if math.IsInf(p.PerMS, 1) {
		return weights{0, 1}
	}
	return weights{1, p.PerMS}
}

// instance is a problem in flat arrays, without what cannot matter: options of sites that are never open, options after
// one that is always open, clients that have one option left. Clients with the same order are one. It does not change
// after compile.
type instance struct {
	p     *Problem
	n     int       // sites; index n stands for Always
	usd   []float64 // of the sites, and 0 for n
	count []float64 // of 0 to n open sites; nil when it is 0
	root  []state   // of the sites at the root

	// Options of client i are start[i] to start[i+1].
	start   []int32
	site    []int32
	eusd    []float64
	ems     []float64
	special []*Client // with Instead; they follow the plain clients in vectors over clients
	// What is paid whatever is open.
	constUSD, constMS float64

	impossible bool
	kmin, kmax int
	groups     []Group
	of         [][]int32 // the groups of each site
	members    [][]int   // of each group, each once
	alone      []bool    // the groups that the relaxation keeps
	disjoint   []int32   // the one of these that a site is in; -1 for none
	bounded    bool      // there are rules or prices of numbers
}

// state is what a node of the search tree says of a site.
type state uint8

const (
	free state = iota
	open
	closed
)

func (in *instance) clients() int { return len(in.start) - 1 + len(in.special) }
func (in *instance) plain() int   { return len(in.start) - 1 }

func compile(p *Problem) *instance {
	n := len(p.Sites)
	in := &instance{p: p, n: n, usd: make([]float64, n+1), root: make([]state, n+1), of: make([][]int32, n),
		disjoint: make([]int32, n), kmin: p.Min, kmax: p.Max, groups: p.Groups}
	in.root[n] = open
	for s, site := range p.Sites {
		in.usd[s] = site.USD
		switch {
		case site.Must && site.Never:
			in.impossible = true
		case site.Must:
			in.root[s] = open
		case site.Never:
			in.root[s] = closed
		}
	}
	if in.kmax == 0 || in.kmax > n {
		in.kmax = n
	}
	if slices.ContainsFunc(p.Count, func(v float64) bool { return v != 0 }) {
		for k := range n + 1 {
			in.count = append(in.count, p.count(k))
		}
	}
	in.rules()
	in.order()
	return in
}

// rules finds out which groups the relaxation can keep: those that have no site in common, first come first served.
// Propagation and the last nodes of the tree keep the others.
func (in *instance) rules() {
	for s := range in.disjoint {
		in.disjoint[s] = -1
	}
	for g := range in.groups {
		group := &in.groups[g]
		sites := slices.Compact(slices.Sorted(slices.Values(group.Sites)))
		in.members = append(in.members, sites)
		alone := true
		for _, s := range sites {
			in.of[s] = append(in.of[s], int32(g))
			alone = alone && in.disjoint[s] < 0
		}
		in.alone = append(in.alone, alone)
		if alone {
			for _, s := range sites {
				in.disjoint[s] = int32(g)
			}
		}
	}
	in.bounded = in.kmin > 0 || in.kmax < in.n || len(in.groups) > 0 || in.count != nil
}

// order makes the flat arrays.
func (in *instance) order() {
	in.start = append(in.start, 0)
	known := map[string]int{} // order of sites → client
	var key []byte
	for c := range in.p.Clients {
		client := &in.p.Clients[c]
		if slices.ContainsFunc(client.Options, func(o Option) bool { return len(o.Instead) > 0 }) {
			in.special = append(in.special, client)
			continue
		}
		options := in.possible(client.Options)
		if len(options) == 1 && in.root[in.index(&options[0])] == open {
			in.constUSD += options[0].USD
			in.constMS += options[0].MS
			continue
		}
		key = key[:0]
		for k := range options {
			key = binary.LittleEndian.AppendUint32(key, uint32(in.index(&options[k])))
		}
		if i, ok := known[string(key)]; ok {
			for k := range options {
				in.eusd[int(in.start[i])+k] += options[k].USD
				in.ems[int(in.start[i])+k] += options[k].MS
			}
			continue
		}
		known[string(key)] = in.plain()
		for k := range options {
			in.site = append(in.site, int32(in.index(&options[k])))
			in.eusd = append(in.eusd, options[k].USD)
			in.ems = append(in.ems, options[k].MS)
		}
		in.start = append(in.start, int32(len(in.site)))
	}
}

func (in *instance) index(o *Option) int {
	if o.Site == Always {
		return in.n
	}
	return o.Site
}

// possible returns the options that may serve, up to the first that is open in every set.
func (in *instance) possible(options []Option) (out []Option) {
	seen := map[int]bool{}
	for k := range options {
		s := in.index(&options[k])
		if in.root[s] == closed || seen[s] {
			continue
		}
		seen[s] = true
		out = append(out, options[k])
		if in.root[s] == open {
			break
		}
	}
	return out
}

// value returns the USD and MS of a set; +Inf when a client has no option.
func (in *instance) value(is []bool) (usd, ms float64) {
	usd, ms = in.constUSD, in.constMS
	k := 0
	for s := range in.n {
		if is[s] {
			usd += in.usd[s]
			k++
		}
	}
	if in.count != nil {
		usd += in.count[k]
	}
	for i := range in.plain() {
		e, end := in.start[i], in.start[i+1]
		for e < end && !is[in.site[e]] {
			e++
		}
		if e == end {
			return math.Inf(1), math.Inf(1)
		}
		usd += in.eusd[e]
		ms += in.ems[e]
	}
	for _, c := range in.special {
		o := c.Serve(func(s int) bool { return is[s] })
		if o == nil {
			return math.Inf(1), math.Inf(1)
		}
		usd += o.USD
		ms += o.MS
	}
	return usd, ms
}

// kept reports whether a set keeps the rules of numbers.
func (in *instance) kept(is []bool) bool {
	k := 0
	for s := range in.n {
		if is[s] {
			k++
		}
		if is[s] && in.root[s] == closed || !is[s] && in.root[s] == open {
			return false
		}
	}
	if k < in.kmin || k > in.kmax {
		return false
	}
	for g := range in.groups {
		k := 0
		for _, s := range in.members[g] {
			if is[s] {
				k++
			}
		}
		if k < in.groups[g].Min || in.groups[g].Max > 0 && k > in.groups[g].Max {
			return false
		}
	}
	return true
}
