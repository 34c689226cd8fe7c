package solve

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Always is the Site of an option that needs no site of the problem: it is open in every set.
const Always = -1

// ErrInfeasible is the error when no set of sites keeps all the rules of a problem.
var ErrInfeasible = errors.New("no set of sites keeps all rules")

// ErrLimit is the error when a limit of [Options] ended a search before it found any set.
var ErrLimit = errors.New("the limit came before a set of sites was found")

// Problem asks which sites to open. The objective is
//
//	Σ USD of open sites + Count[number of open sites] + Σ USD of clients + PerMS × Σ MS of clients
//
// where each client has the USD and MS of the one option that serves it. A problem is not changed by this package, and
// may be solved by several goroutines at once.
type Problem struct {
	Sites   []Site
	Clients []Client
	// PerMS is what a unit of Option.MS is worth, in USD. 0 minimizes the money alone, +Inf the milliseconds alone.
	PerMS float64
	// Min and Max bound the number of open sites, sites that must be open included. Max 0: no bound.
	Min, Max int
	// Groups bound the number of open sites among some. A site may be in several groups.
	Groups []Group
	// Budget is the most USD that a set may cost. 0: no bound. What no set keeps is [ErrInfeasible].
	Budget float64
	// Count is what a number of open sites costs beyond the sites themselves, in USD: Count[k] for k open sites. Beyond
	// its end the last value holds. It may be nil.
	Count []float64
}

// Site may be opened.
type Site struct {
	// USD is what the site costs while it is open. Like all money of a problem it is of one period, such as a month. It
	// may be negative.
	USD float64
	// Must sites are open in every set, Never sites in none. A site that is both makes the problem infeasible.
	Must, Never bool
}

// Group bounds how many of some sites are open.
type Group struct {
	Sites []int
	Min   int
	Max   int // 0: no bound
}

// Client is served by one option.
type Client struct {
	// Options are in the order in which the client takes them: the first whose site is open serves it, whatever its
	// USD and MS. A set in which no option is open is no solution. A site is in at most one option.
	Options []Option
	// Inside are sites that switch off the Instead of all options while one of them is open.
	Inside []int
}

// Option is one way to serve a client.
type Option struct {
	Site int     // an index into Problem.Sites, or [Always]
	USD  float64 // what serving the client costs this way
	MS   float64 // what the delay counts: milliseconds × volume
	// Instead are the options that the client prefers to this one only if no option before this one is open, and no
	// site of Inside is: the first of them whose site is open serves it. They have no Instead of their own.
	Instead []Option
}

// Options steer a search. The zero value searches until the optimum is proven.
type Options struct {
	// Nodes and Time end the search early, with the best set so far; 0: never. Results with a Time are not repeatable.
	Nodes int
	Time  time.Duration
	// Progress is called from time to time, by one goroutine at a time; it may be nil.
	Progress func(Progress)
	// Bill returns the exact USD of a set when the prices of the problem are only its lowest: with tiers, those of each
	// ladder's cheapest step. It replaces Result.USD, it must never be below the USD of the problem, and the budget is
	// compared with it. It gets the open sites, ascending, and several goroutines of ByCount and Frontier call it. It may
	// be nil.
	Bill func(open []int) float64
	// Start is a set to begin with, such as today's. A good one saves time. It may break rules, or be nil.
	Start []int
}

// Progress tells how far a search is.
type Progress struct {
	Nodes            int
	Objective, Bound float64 // of the best set so far, +Inf before there is one; of all sets
	Set, Sets        int     // of ByCount and Frontier: which set is searched, and of how many; 0 when not known
}

// Result is a set of sites.
type Result struct {
	Open      []int // ascending
	USD, MS   float64
	Objective float64 // USD + PerMS × MS, or MS alone
	// Bound is a proven lower bound of the objective of every set that keeps the rules. When Proven, it equals
	// Objective.
	Bound  float64
	Proven bool
	Nodes  int     // of the search tree
	PerMS  float64 // of Frontier: from which PerMS on the set is best
}

// Gap returns how far the objective may be from the optimum: a fraction of the objective.
func (r *Result) Gap() float64 {
	if r.Proven {
		return 0
	}
	return (r.Objective - r.Bound) / math.Max(math.Abs(r.Objective), math.SmallestNonzeroFloat64)
}

// Serve returns the option that serves a client when the sites in open are; nil when none does.
func (c *Client) Serve(open func(site int) bool) *Option {
	has := func(o Option) bool { return o.Site == Always || open(o.Site) }
	i := slices.IndexFunc(c.Options, has)
	if i < 0 {
		return nil
	}
	o := &c.Options[i]
	if len(o.Instead) > 0 && !slices.ContainsFunc(c.Inside, open) {
		if k := slices.IndexFunc(o.Instead, has); k >= 0 {
			return &o.Instead[k]
		}
	}
	return o
}

// Evaluate returns the USD and MS of a set, whatever rules it breaks; +Inf when a client has no option.
func (p *Problem) Evaluate(open []int) (usd, ms float64) {
	is := make([]bool, len(p.Sites))
	for _, s := range open {
		is[s] = true
		usd += p.Sites[s].USD
	}
	usd += p.count(len(open))
	for i := range p.Clients {
		o := p.Clients[i].Serve(func(s int) bool { return is[s] })
		if o == nil {
			return math.Inf(1), math.Inf(1)
		}
		usd += o.USD
		ms += o.MS
	}
	return usd, ms
}

// count returns what the number of open sites costs.
func (p *Problem) count(n int) float64 {
	if len(p.Count) == 0 {
		return 0
	}
	return p.Count[min(n, len(p.Count)-1)]
}

// check returns an error that names the first field that makes no sense.
func (p *Problem) check() error {
	finite := func(f ...float64) bool {
		return !slices.ContainsFunc(f, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	}
	if !(p.PerMS >= 0) || !(p.Budget >= 0) || !finite(p.Count...) || p.Min < 0 || p.Max < 0 {
		return errors.New("problem: PerMS, Budget, Count, Min, Max: want numbers that are not negative")
	}
	for s, site := range p.Sites {
		if !finite(site.USD) {
			return fmt.Errorf("problem: site %d: USD %v: want a finite number", s, site.USD)
		}
	}
	known := func(s int) bool { return s >= 0 && s < len(p.Sites) }
	for g, group := range p.Groups {
		if slices.ContainsFunc(group.Sites, func(s int) bool { return !known(s) }) {
			return fmt.Errorf("problem: group %d: unknown site", g)
		}
	}
	for c := range p.Clients {
		client := &p.Clients[c]
		if slices.ContainsFunc(client.Inside, func(s int) bool { return !known(s) }) {
			return fmt.Errorf("problem: client %d: unknown site in Inside", c)
		}
		for k := range client.Options {
			for _, o := range append([]Option{client.Options[k]}, client.Options[k].Instead...) {
				if o.Site != Always && !known(o.Site) || !finite(o.USD, o.MS) {
					return fmt.Errorf("problem: client %d: option %d: want a known site, and finite USD and MS", c, k)
				}
			}
		}
	}
	return nil
}
