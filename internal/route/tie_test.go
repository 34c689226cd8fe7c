package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/place"
)

// duel is a world of the given candidates, the last of which is canonical when none is.
func duel(t *testing.T, opt Options, cs ...Candidate) *Snapshot {
	t.Helper()
	opt.Candidates = cs
	if !slices.ContainsFunc(cs, func(c Candidate) bool { return c.Canonical }) {
		cs[len(cs)-1].Canonical = true
	}
	return snapshot(t, opt)
}

func canonical(t *testing.T, name, where string) Candidate {
	u := upstream(t, name, where)
	u.Canonical = true
	return u
}

func priced(c Candidate, cents float64) Candidate {
	c.Price = place.Override{Internet: &cents, SameCloud: &cents}
	return c
}

// TestEqualScores guards that at equal score the name decided, so that the README's own config never used its bucket.
// Each case holds whatever the two are called, and in whichever order the file has them.
func TestEqualScores(t *testing.T) {
	zero := Options{CostWeight: 0}
	five := Options{CostWeight: 5}
	measured := func(weight, first, second float64) Options {
		return Options{CostWeight: weight, Matrix: Matrix{
			{at(t, "onprem/here"), at(t, "onprem/one")}: first, {at(t, "onprem/here"), at(t, "onprem/two")}: second,
		}}
	}
	tests := []struct {
		name   string
		opt    Options
		client string
		first  func(name string) Candidate
		second func(name string) Candidate
		text   string // of the second
	}{
		{"registry and bucket in one place", five, "aws/eu-west-1",
			func(n string) Candidate { return store(t, n, "aws/us-east-1", "aws") },
			func(n string) Candidate { return canonical(t, n, "aws/us-east-1") }, "a store comes before an upstream"},
		{"seen from that place", five, "aws/us-east-1",
			func(n string) Candidate { return store(t, n, "aws/us-east-1", "aws") },
			func(n string) Candidate { return upstream(t, n, "aws/us-east-1") }, "a store comes before an upstream"},
		{"two clouds in one town, at weight 0", zero, "azure/westeurope",
			func(n string) Candidate { return store(t, n, "aws/us-east-1", "all") },
			func(n string) Candidate { return canonical(t, n, "gcp/us-east4") }, "a store comes before an upstream"},
		{"a client nobody can locate, no location, weight 0", zero, "",
			func(n string) Candidate { return store(t, n, "aws/us-east-1", "internet") },
			func(n string) Candidate { return upstream(t, n, "gcp/asia-east1") }, "a store comes before an upstream"},
		{"a store dearer than the upstream, at weight 0", zero, "",
			func(n string) Candidate { return priced(store(t, n, "aws/us-east-1", "internet"), 90) },
			func(n string) Candidate { return priced(upstream(t, n, "aws/us-east-1"), 1) }, "a store comes before an upstream"},
		{"sums of other terms: 1.1 + 5 × 2.2 and 12.1", measured(5, 1.1, 12.1), "onprem/here",
			func(n string) Candidate { return priced(store(t, n, "onprem/one", "all"), 2.2) },
			func(n string) Candidate { return canonical(t, n, "onprem/two") }, "a store comes before an upstream"},
		{"sums of other terms, at the edge of a tenth", measured(5, 0.55, 0.1), "onprem/here",
			func(n string) Candidate { return priced(store(t, n, "onprem/one", "all"), 0) },
			func(n string) Candidate { return priced(canonical(t, n, "onprem/two"), 0.09) }, "a store comes before an upstream"},
		{"an upstream better by less than explain shows", measured(0, 10.04, 10.01), "onprem/here",
			func(n string) Candidate { return store(t, n, "onprem/one", "all") },
			func(n string) Candidate { return canonical(t, n, "onprem/two") }, "a store comes before an upstream"},
		{"a replica and canonical", five, "gcp/us-east1",
			func(n string) Candidate { return upstream(t, n, "gcp/us-central1") },
			func(n string) Candidate { return canonical(t, n, "gcp/us-central1") }, "canonical comes last"},
		{"two stores, one cheaper, at weight 0", zero, "",
			func(n string) Candidate { return priced(store(t, n, "aws/us-east-1", "internet"), 1) },
			func(n string) Candidate { return priced(store(t, n, "aws/us-west-2", "internet"), 2) }, "at a higher price"},
		{"near and dear, far and cheap", measured(5, 2, 12), "onprem/here",
			func(n string) Candidate { return priced(store(t, n, "onprem/two", "all"), 0) },
			func(n string) Candidate { return priced(store(t, n, "onprem/one", "all"), 2) }, "at a higher price"},
		{"two stores, one nearer by less than explain shows", measured(0, 10.01, 10.02), "onprem/here",
			func(n string) Candidate { return priced(store(t, n, "onprem/one", "all"), 9) },
			func(n string) Candidate { return priced(store(t, n, "onprem/two", "all"), 1) }, "better by less than a tenth"},
	}
	places, err := place.Embedded().With(town(t, "onprem/here"), town(t, "onprem/one"), town(t, "onprem/two"))
	if err != nil {
		t.Fatal(err)
	}
	req := parse(t, "/v2/a/blobs/"+digest)
	for _, tt := range tests {
		for _, names := range [][2]string{{"aa", "zz"}, {"zz", "aa"}} {
			for _, swapped := range []bool{false, true} {
				t.Run(fmt.Sprint(tt.name, names, swapped), func(t *testing.T) {
					cs := []Candidate{tt.first(names[0]), tt.second(names[1])}
					if swapped {
						slices.Reverse(cs)
					}
					if !cs[0].Canonical && !cs[1].Canonical {
						cs = append(cs, canonical(t, "far", "aws/ap-southeast-2"))
						cs[2].Active = false
					}
					opt := tt.opt
					opt.Map, opt.Candidates = places, cs
					s, err := New(opt)
					if err != nil {
						t.Fatal(err)
					}
					c := client(t, tt.client)
					d := Decide(req, c, s, everything(s))
					rows := Explain(req, c, s, everything(s), d)
					if s.name(d) != names[0] || d.Reason != Nearest {
						t.Errorf("sent to %s (%s), want %s", s.name(d), d.Reason, names[0])
					}
					if !rows[0].Taken || !strings.Contains(rows[1].Verdict, tt.text) || strings.Contains(rows[1].Verdict, "a better one did") {
						t.Errorf("%q, then %q, want one with %q", rows[0].Verdict, rows[1].Verdict, tt.text)
					}
				})
			}
		}
	}
}

func town(t *testing.T, name string) place.Site {
	return place.Site{Place: at(t, name), Spot: place.Spot{Point: place.Point{Lat: 52, Lon: 13}, Country: "DE"}}
}

// TestLotsAreSpreadAndStable: stores that nothing tells apart share the places, whatever they are called; which has which
// is the same in every process and release, and a third one takes from both and moves nothing between them.
func TestLotsAreSpreadAndStable(t *testing.T) {
	twins := func(names ...string) map[string]string {
		var cs []Candidate
		for _, n := range names {
			cs = append(cs, store(t, n, "aws/us-east-1", "all"))
		}
		last := canonical(t, "far", "gcp/australia-southeast1")
		last.Active = false
		s := duel(t, Options{CostWeight: 5}, append(cs, last)...)
		first := map[string]string{}
		for p, r := range s.rankings {
			first[p.String()] = s.first(r)
		}
		return first
	}
	two, three := twins("aa", "zz"), twins("mm", "zz", "aa")
	count := map[string]int{}
	for at, name := range two {
		count[name]++
		count["of three: "+three[at]]++
		if three[at] != "mm" && three[at] != name {
			t.Errorf("%s went from %s to %s when mm came", at, name, three[at])
		}
	}
	for name, n := range count {
		share, want := float64(n)/float64(len(two)), 0.5
		if strings.HasPrefix(name, "of three") {
			want = 1.0 / 3
		}
		if share < want-0.08 || share > want+0.08 {
			t.Errorf("%s has %.2f of the places, want %.2f", name, share, want)
		}
	}
	// Golden: a change here sends clients elsewhere with an upgrade.
	got := map[string]string{}
	want := map[string]string{
		"aws/us-east-1": "aa", "aws/eu-west-1": "aa", "gcp/us-east4": "aa", "azure/westeurope": "zz", "aws/us-gov": "aa", "": "zz",
	}
	for at := range want {
		got[at] = two[at]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first choices (-want +got)\n%s", diff)
	}
}

// TestCompareIsAnOrder: with scores so near each other that every rule decides, three candidates never go in a circle.
func TestCompareIsAnOrder(t *testing.T) {
	var cs []Candidate
	for i := range 20 {
		if i%3 == 0 {
			cs = append(cs, upstream(t, fmt.Sprintf("c%d", i), "aws/us-east-1"))
		} else {
			cs = append(cs, store(t, fmt.Sprintf("c%d", i), "aws/us-east-1", "all"))
		}
	}
	s := duel(t, Options{}, append(cs, canonical(t, "main", "aws/us-east-1"))...)
	rng := rand.New(rand.NewPCG(3, 5))
	draw := func() *Ranked {
		i := rng.IntN(len(s.Candidates))
		if rng.IntN(2) == 0 {
			i = s.Canonical
		}
		r := &Ranked{Candidate: i, Score: 10 + float64(rng.IntN(12))/100}
		r.Score += []float64{0, 1e-9, -1e-9, 1e-7}[rng.IntN(4)]
		r.Price.Cents = float64(rng.IntN(3))
		return r
	}
	rules := map[rule]int{}
	for range 300_000 {
		a, b, c := draw(), draw(), draw()
		if a.Candidate == b.Candidate || b.Candidate == c.Candidate || a.Candidate == c.Candidate {
			continue
		}
		ab, by := s.compare(7, a, b)
		ba, _ := s.compare(7, b, a)
		bc, _ := s.compare(7, b, c)
		ac, _ := s.compare(7, a, c)
		rules[by]++
		if ab == 0 || ab != -ba || ab < 0 && bc < 0 && ac >= 0 {
			t.Fatalf("%+v, %+v, %+v: %d %d %d %d", a, b, c, ab, ba, bc, ac)
		}
	}
	for by := byScore; by <= byLot; by++ {
		if rules[by] < 500 {
			t.Errorf("rule %d decided %d times only", by, rules[by])
		}
	}
}

// TestExplainNeverCallsAnEqualBetter: in random worlds, whoever is said to be worse has the higher score as it is printed,
// and no reason speaks of better ones.
func TestExplainNeverCallsAnEqualBetter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 8))
	sites := place.Embedded().Sites()
	paths := []string{"/v2/a/blobs/" + digest, "/v2/a/manifests/x", "/v2/a/referrers/" + digest}
	worse, equal := 0, 0
	for range 150 {
		opt := randomWorld(t, rng)
		if rng.IntN(4) == 0 {
			opt.DenyRepositories = []string{"a"}
		}
		s, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c := &Client{Place: sites[rng.IntN(len(sites))].Place}
			req := parse(t, paths[rng.IntN(len(paths))])
			st := everything(s)
			if rng.IntN(2) == 0 {
				st.Holds.Remove(rng.IntN(len(s.Candidates)))
			}
			d := Decide(req, c, s, st)
			rows := Explain(req, c, s, st, d)
			taken := slices.IndexFunc(rows, func(r Row) bool { return r.Taken })
			for i := range rows {
				if strings.Contains(rows[i].Verdict, "with the same") {
					equal++
				}
				if !strings.Contains(rows[i].Verdict, "better") {
					continue
				}
				worse++
				switch {
				case taken < 0 || d.Reason == CanonicalOnly:
					t.Fatalf("%q, though nobody was compared (%s)", rows[i].Verdict, d.Reason)
				case rows[i].Taken:
					t.Fatalf("%q: is it?", rows[i].Verdict)
				case strings.Contains(rows[i].Verdict, "a better one did") && rows[taken].Tenths() >= rows[i].Tenths():
					t.Fatalf("%v is said to be better than %v", rows[taken].Ranked, rows[i].Ranked)
				}
			}
		}
	}
	if worse < 1000 || equal < 200 {
		t.Errorf("%d worse, %d equal: the sample is lopsided", worse, equal)
	}
}
