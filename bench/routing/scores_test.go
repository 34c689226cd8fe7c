package main

import (
	"testing"

	"ociproxy/internal/place"
	"ociproxy/internal/route"
)

// The choices that an operator would expect, with the scores that make them. Run with -v to see the scores.
func TestScores(t *testing.T) {
	for _, tc := range []struct {
		name   string
		stores []string
		client string
		weight float64
		want   string
	}{
		{"a neighbour beats a cheap store far away", []string{"aws/me-central-1", "aws/eu-central-1"}, "aws/me-south-1", 5, "aws/me-central-1"},
		{"unless money matters more", []string{"aws/me-central-1", "aws/eu-central-1"}, "aws/me-south-1", 20, "aws/eu-central-1"},
		{"the south Atlantic is crossed by way of the north", []string{"aws/us-east-1", "aws/af-south-1"}, "aws/sa-east-1", 5, "aws/us-east-1"},
		{"also by latency alone", []string{"aws/us-east-1", "aws/af-south-1"}, "aws/sa-east-1", 0, "aws/us-east-1"},
		{"Israel hangs on Europe", []string{"aws/eu-central-2", "aws/me-central-1"}, "aws/il-central-1", 5, "aws/eu-central-2"},
		{"also by latency alone", []string{"aws/eu-central-2", "aws/me-central-1"}, "aws/il-central-1", 0, "aws/eu-central-2"},
		{"the Cape hangs on Portugal", []string{"aws/eu-south-2", "aws/sa-east-1", "aws/il-central-1"}, "aws/af-south-1", 5, "aws/eu-south-2"},
		{"also by latency alone", []string{"aws/eu-south-2", "aws/sa-east-1", "aws/il-central-1"}, "aws/af-south-1", 0, "aws/eu-south-2"},
		{"Madrid in other clouds", []string{"gcp/europe-southwest1", "gcp/southamerica-east1", "gcp/me-west1"}, "azure/southafricawest", 5, "gcp/europe-southwest1"},
		{"a store in the client's own region", []string{"aws/eu-west-1", "aws/eu-west-2"}, "aws/eu-west-2", 5, "aws/eu-west-2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ranked(t, tc.weight, tc.client, tc.stores)
			if got != tc.want {
				t.Errorf("%s at weight %v goes to %s, want %s", tc.client, tc.weight, got, tc.want)
			}
		})
	}
}

// The rules about who may be sent where come before the score. A client of a cloud with upstreams stays in that cloud.
// A client of a cloud that no candidate serves goes to the stores for the internet. Neither goes to a store for another
// cloud.
func TestServes(t *testing.T) {
	at := func(name, p string, kind route.Kind, serves route.Serves) route.Candidate {
		c := store(parse(t, p))
		c.Name, c.Kind, c.Serves = name, kind, serves
		return c
	}
	us := at("upstream-us", "gcp/us-central1", route.Upstream, route.Serves{All: true})
	us.Canonical = true
	cdn := at("cdn", "aws/us-east-1", route.Store, route.Serves{Internet: true})
	cdn.CDN = "cloudflare-r2"
	s, err := route.New(route.Options{Map: place.Embedded(), CostWeight: defaultWeight, Candidates: []route.Candidate{
		us, at("upstream-eu", "gcp/europe-west1", route.Upstream, route.Serves{All: true}),
		at("s3-euw1", "aws/eu-west-1", route.Store, route.Serves{Clouds: []string{"aws"}}), cdn,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]string{
		"gcp/europe-west1":   "upstream-eu",
		"gcp/us-central1":    "upstream-us",
		"aws/eu-west-2":      "s3-euw1",
		"vultr/lhr":          "cdn",
		"oracle/uk-london-1": "cdn",
	} {
		all := s.Ranking(&route.Client{Place: parse(t, client)}).All
		for _, r := range all {
			t.Logf("%-18s %-12s %6.1f ms, %5.2f ¢ (%s), score %6.1f", client, s.Candidates[r.Candidate].Name, r.RTT, r.Price.Cents, r.Price.Basis, r.Score)
		}
		if got := s.Candidates[all[0].Candidate].Name; got != want {
			t.Errorf("%s goes to %s, want %s", client, got, want)
		}
	}
}

// ranked logs the ranking of stores for a client and returns the first.
func ranked(t *testing.T, weight float64, client string, stores []string) string {
	t.Helper()
	opt := route.Options{Map: place.Embedded(), CostWeight: weight}
	for _, s := range stores {
		opt.Candidates = append(opt.Candidates, store(parse(t, s)))
	}
	opt.Candidates = append(opt.Candidates, canonical(parse(t, "gcp/us-central1")))
	s, err := route.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	all := s.Ranking(&route.Client{Place: parse(t, client)}).All
	for _, r := range all {
		t.Logf("%-24s %6.1f ms + %v × %5.2f ¢ (%s) = %6.1f", s.Candidates[r.Candidate].Name, r.RTT, weight, r.Price.Cents, r.Price.Basis, r.Score)
	}
	return s.Candidates[all[0].Candidate].Name
}

func parse(t *testing.T, s string) place.Place {
	t.Helper()
	p, err := place.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
