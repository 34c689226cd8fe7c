package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/plan"
	"ociproxy/internal/price"
	"ociproxy/internal/route"
)

// planConfig and planDemand are those of AWS in docs/planning-regions.md.
const (
	planConfig = `version: 1
location: gcp/us-central1
ranges: {cache: "", feeds: [{provider: aws}, {provider: gcp}]}
upstreams:
  - {name: main, url: "https://main.example", place: gcp/us-central1, canonical: true}
stores:
  - {name: s3-use2, place: aws/us-east-2, url: "https://b-us-east-2.example/{digest}", bucket: "s3://b-us-east-2?region=us-east-2", serves: [aws]}
`
	planDemand = `place,TB/month
aws/us-west-2,645
aws/eu-central-1,609
aws/us-west-1,591
aws/us-east-1,390
aws/us-east-2,192
aws/ap-southeast-1,160
aws/ap-northeast-1,78
aws/ap-south-1,64
`
)

// planned says whether the best sets of the plan under the estimates of the map are the best under measured round trips:
// for each number of stores, how much less the planned set is then worth than the best one. A set of the same worth
// counts as the same. The demand is that of the page, and then the same in each region.
func planned(dir string) ([]figures.Figure, error) {
	cfg, err := config.Parse("config.yaml", []byte(planConfig))
	if err != nil {
		return nil, err
	}
	d, err := readAWS(filepath.Join(dir, awsFile), cfg.Map())
	if err != nil {
		return nil, err
	}
	shares, err := under(cfg, d, "plan.measured.aws.", planDemand)
	if err != nil {
		return nil, err
	}
	even := "place,TB/month\n"
	for _, at := range d.regions {
		even += at.String() + ",100\n"
	}
	same, err := under(cfg, d, "plan.measured.aws_even.", even)
	return append(shares, same...), err
}

// under compares the plans for one demand.
func under(cfg *config.Config, d *measured, prefix, lines string) ([]figures.Figure, error) {
	demand, err := plan.ReadCSV("demand.csv", strings.NewReader(lines), cfg.Map())
	if err != nil {
		return nil, err
	}
	opt := plan.Options{
		Config: cfg, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Demand: demand, Stored: price.TB.Times(30), Growth: price.TB.Times(1),
		Rules: plan.Rules{Only: []string{"aws"}},
	}
	all, err := plan.New(opt)
	if err != nil {
		return nil, err
	}
	for i := range all.Candidates { // a region that was not measured would be compared by an estimate
		at := all.Candidates[i].Site.Place
		if _, ok := slices.BinarySearchFunc(d.regions, at, place.Place.Compare); at.Cloud == "aws" && !ok {
			opt.Rules.Forbid = append(opt.Rules.Forbid, at.String())
		}
	}
	search := plan.Search{Stores: 8}
	estimate, err := plan.Make(context.Background(), opt, search)
	if err != nil {
		return nil, err
	}
	opt.Matrix = route.Matrix(d.rtt)
	best, err := plan.Make(context.Background(), opt, search)
	if err != nil {
		return nil, err
	}
	w, err := plan.New(opt)
	if err != nil {
		return nil, err
	}
	regret := func(planned, best *plan.Answer) (float64, error) {
		var open []int
		for i := range w.Candidates {
			if slices.ContainsFunc(planned.Regions, func(r plan.Region) bool { return r.Name == w.Candidates[i].Name }) {
				open = append(open, i)
			}
		}
		o, err := w.Replay(open)
		if err != nil {
			return 0, err
		}
		return max(0, 100*((o.Total()+estimate.MSValue/1000*o.MS)/best.WorthUSD-1)), nil
	}
	worst, same := 0.0, 0
	for i := range min(len(estimate.ByCount), len(best.ByCount)) {
		r, err := regret(&estimate.ByCount[i], &best.ByCount[i])
		if err != nil {
			return nil, err
		}
		if r < 1e-6 {
			same++
		}
		worst = max(worst, r)
	}
	r, err := regret(estimate.Best, best.Best)
	if err != nil {
		return nil, fmt.Errorf("the best set: %w", err)
	}
	return []figures.Figure{
		{Name: prefix + "sets", Value: float64(len(estimate.ByCount)), Unit: "1"},
		{Name: prefix + "best_too", Value: float64(same), Unit: "1"},
		{Name: prefix + "worst_regret", Value: worst, Unit: "%"},
		{Name: prefix + "best.regret", Value: r, Unit: "%"},
		{Name: prefix + "best.ms", Value: best.Best.MeanMS, Unit: "ms"},
		{Name: prefix + "best.ms_estimated", Value: estimate.Best.MeanMS, Unit: "ms"},
	}, nil
}
