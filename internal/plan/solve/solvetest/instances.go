package solvetest

import (
	"context"
	"fmt"
	"math"

	"ociproxy/internal/plan/solve"
)

// Instance is a problem with a name: kind_SITESxCLIENTS.
type Instance struct {
	Name    string
	Problem *solve.Problem
}

// Instances returns problems of every kind: the real map with an objective that agrees with the order of the clients, and
// with some that do not, rules on the number of sites, a budget, points in a plane, random costs.
func Instances(sites, clients int) (out []Instance) {
	add := func(kind string, p *solve.Problem) *solve.Problem {
		out = append(out, Instance{fmt.Sprintf("%s_%dx%d", kind, sites, clients), p})
		return p
	}
	add("map", Map(1, sites, clients, 0.2))
	add("map_money", Map(1, sites, clients, 0))
	add("map_slow", Map(1, sites, clients, 0.02))
	add("map_fast", Map(1, sites, clients, 2))
	p := add("map_12_sites", Map(2, sites, clients, 0.2))
	p.Min, p.Max = 12, 12
	add("map_groups", Map(3, sites, clients, 0.2)).Groups = quarters(sites)
	p = add("map_budget", Map(4, sites, clients, 0))
	if r, err := solve.Solve(context.Background(), p, solve.Options{Nodes: 1000}); err == nil {
		p.Budget, p.PerMS = r.USD*1.05, math.Inf(1)
	}
	add("plane", Plane(5, sites, clients, 0))
	p = add("plane_10_sites", Plane(6, sites, clients, 0))
	p.Min, p.Max = 10, 10
	add("plane_noise", Plane(7, sites, clients, 0.1))
	add("uniform", Uniform(8, sites, clients))
	return out
}

// quarters returns four groups of the sites. Two or three sites of each must be open.
func quarters(sites int) []solve.Group {
	groups := make([]solve.Group, 4)
	for i := range groups {
		groups[i].Min, groups[i].Max = 2, 3
	}
	for s := range sites {
		groups[s%4].Sites = append(groups[s%4].Sites, s)
	}
	return groups
}
