package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/plan/solve"
	"ociproxy/internal/thorough"
)

var now = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// demand reads lines of place and TB, without a header.
func demand(t testing.TB, cfg *config.Config, lines string) *Demand {
	t.Helper()
	d, err := ReadCSV("demand.csv", strings.NewReader("place,TB/month\n"+lines), cfg.Map())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shop builds a random config: stores in few clouds, with all kinds of `serves`.
func shop(r *rand.Rand) string {
	var b strings.Builder
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	serves := func(cloud string) string {
		return pick("["+cloud+"]", "["+cloud+"]", "["+cloud+"]", "["+cloud+", internet]", "[all]", "[internet]", "["+cloud+", oracle]")
	}
	fmt.Fprintf(&b, "version: 1\nroute: {costWeight: %s}\nranges: {cache: \"\", feeds: [{provider: aws}, {provider: gcp}, {provider: azure, file: azure.json}]%s}\nupstreams:\n",
		pick("0", "1", "5", "40"), pick("", ", geoip: {city: city.mmdb}"))
	fmt.Fprintf(&b, "  - {name: main, url: \"https://main.example\", place: %s, canonical: true, serves: %s}\n",
		pick("gcp/us-central1", "exoscale/de-fra-1"), pick("[all]", "[all]", "[gcp]"))
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "  - {name: eu, url: \"https://eu.example\", place: %s, serves: %s}\n", pick("gcp/europe-west1", "aws/eu-west-1"), pick("[all]", "[gcp]", "[aws]"))
	}
	b.WriteString("stores:\n")
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "  - {name: cdn, cdn: cloudfront, url: \"https://cdn.example/{digest}\", check: \"https://origin.example/{digest}\", serves: %s}\n", pick("[internet]", "[azure]", "[aws]", "[all]"))
	}
	regions := map[string][]string{"aws": {"us-east-1", "eu-west-1", "ap-northeast-1", "sa-east-1", "us-gov-west-1"}, "gcp": {"us-east1", "asia-east1", "europe-west4"}, "azure": {"westeurope", "eastus"}}
	n := 0
	for _, cloud := range []string{"aws", "gcp", "azure"} {
		for _, at := range regions[cloud] {
			if n == 7 || r.IntN(2) == 0 {
				continue
			}
			n++
			state := pick("active", "active", "filling")
			fmt.Fprintf(&b, "  - {name: %s-%s, place: %s/%s, url: \"https://b-%s.%s.example/{digest}\", bucket: \"s3://b-%s?region=%s\", serves: %s, state: %s}\n",
				cloud, at, cloud, at, at, cloud, at, at, serves(cloud), state)
		}
	}
	if n == 0 {
		b.WriteString("  - {name: s, place: aws/us-east-1, url: \"https://b-us-east-1.example/{digest}\", bucket: \"s3://b-us-east-1?region=us-east-1\", serves: [aws]}\n")
	}
	return b.String()
}

const everywhere = `aws/us-east-1,10
aws/eu-west-2,5
aws/ap-southeast-2,3
aws/us-gov-east-1,2
aws,1
gcp/us-central1,7
gcp/europe-north1,2
azure/westeurope,4
azure/usgov,1
oracle/us-ashburn-1,2
DE,3
BR,1
unknown,2
`

// The plan's money and round trips are those of the server's router, for sets of up to nine regions in random worlds.
func TestEverySetIsAsTheRouterDecides(t *testing.T) {
	worlds, hot := 0, 0
	for seed := range thorough.Rounds(uint64(45), 2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := shop(r)
		cfg := parse(t, text)
		d := demand(t, cfg, everywhere)
		for i := range d.Clients {
			d.Clients[i].Hot = float64(r.IntN(5)) / 4
		}
		d.HotStored = 0.1
		opt := Options{Config: cfg, Now: now, Demand: d, Stored: 1e12, Hot: seed%3 == 0, Rules: Rules{Only: []string{"aws"}}}
		w, err := New(opt)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(w.loose) > 0 {
			continue
		}
		low, slack := w, math.Inf(1)
		if seed%5 == 0 || thorough.On() {
			low = w.at(w.lowest())
			slack = low.tariff.slack()
		}
		worlds++
		if opt.Hot {
			hot++
		}
		for range 6 {
			var open []int
			for i := range w.Candidates {
				if c := &w.Candidates[i]; !c.Fixed && (c.store.State != "" && c.Stanza == "" && r.IntN(2) == 0 || r.IntN(20) == 0) {
					open = append(open, i)
				}
			}
			if !kept(w, open) {
				continue
			}
			o, err := w.Of(open)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Check(o); err != nil {
				t.Fatalf("seed %d, %s: %v\n%s", seed, names(w, open), err, text)
			}
			if usd, ms := low.problem.Evaluate(w.whole(open)); math.Abs(ms-o.MS) > 1e-6*ms || usd-slack > o.Total()*(1+1e-9) {
				t.Fatalf("seed %d, %s: the problem says $%v and %v, the outcome $%v and %v", seed, names(w, open), usd, ms, o.Total(), o.MS)
			}
		}
	}
	if worlds < 30 || hot < 5 {
		t.Errorf("%d worlds, %d of them hot", worlds, hot)
	}
}

// TestStepsByBrute: where prices have steps, the best set is that of the exact bills of all sets, and the bound is below
// them. The worlds have the stores of their configs alone, so that all sets can be tried.
func TestStepsByBrute(t *testing.T) {
	stepped := 0
	for seed := range thorough.Rounds(uint64(12), 2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		text := shop(r)
		cfg := parse(t, text)
		for _, last := range []bool{false, true} {
			w, err := New(Options{Config: cfg, Now: now, Demand: demand(t, cfg, everywhere), Stored: 1e12, Rules: Rules{Only: []string{}}, last: last})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			var some []int
			for i := range w.Candidates {
				if !w.Candidates[i].Fixed {
					some = append(some, i)
				}
			}
			best := math.Inf(1)
			for bits := range 1 << len(some) {
				var open []int
				for k, i := range some {
					if bits&(1<<k) != 0 {
						open = append(open, i)
					}
				}
				if kept(w, open) {
					o, err := w.Of(open)
					if err != nil {
						t.Fatal(err)
					}
					best = min(best, o.worth(w))
				}
			}
			got, err := w.solve(t.Context(), solve.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !w.tariff.flat() && w.weight > 0 {
				stepped++
			}
			if off := 1e-9 * best; !got.Proven || math.Abs(got.Objective-best) > off || got.Bound > best+off {
				t.Errorf("seed %d, last %v: the best set is worth %v with the bound %v, want %v\n%s", seed, last, got.Objective, got.Bound, best, text)
			}
		}
	}
	if stepped < 5 {
		t.Errorf("only %d worlds have steps", stepped)
	}
}

// kept reports whether a set keeps the groups of the problem.
func kept(w *World, open []int) bool {
	for _, g := range w.problem.Groups {
		n := 0
		for _, i := range g.Sites {
			for _, o := range w.whole(open) {
				if o == i {
					n++
				}
			}
		}
		if n < g.Min {
			return false
		}
	}
	return true
}

func names(w *World, open []int) (out []string) {
	for _, i := range open {
		out = append(out, w.Candidates[i].Name)
	}
	return out
}
