package plan

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/plan/solve"
	"ociproxy/internal/route"
	"ociproxy/internal/traffic"
)

// lab is a small world with round prices: 10 cents for a GB from main, 1 cent for one between two places of the lab,
// nothing within a place, and 2 cents for a GB stored for a month. There is a store at lab/a, and there could be some at
// lab/b and lab/c.
const lab = `version: 1
route: {costWeight: 5}
ranges: {cache: "", feeds: [{provider: csv, file: lab.csv}]}
places:
  hub/x: {lat: 40, lon: -90, country: US}
  lab/a: {lat: 50, lon: 8, country: DE, price: {internet: 10, sameCloud: 1}}
  lab/b: {lat: 60, lon: 20, country: FI, price: {internet: 10, sameCloud: 1}}
  lab/c: {lat: 35, lon: 139, country: JP, price: {internet: 10, sameCloud: 1}}
upstreams:
  - {name: main, url: "https://main.example", place: hub/x, canonical: true, price: {internet: 10}}
stores:
  - {name: s-a, place: lab/a, url: "https://b-a.example/{digest}", bucket: "s3://b-a?region=a", serves: [lab]}
billing:
  prices: [{item: storage, provider: lab, cents: 2, unit: GB-month}, {item: internet, cents: 10, unit: GB}, {item: same-cloud, cents: 1, unit: GB}]
`

// apart has the round trips of the lab.
func apart() route.Matrix {
	at := func(c, r string) place.Place { return place.Place{Cloud: c, Region: r} }
	a, b, c, x := at("lab", "a"), at("lab", "b"), at("lab", "c"), at("hub", "x")
	return route.Matrix{{a, b}: 30, {a, c}: 200, {b, c}: 180, {x, a}: 100, {x, b}: 120, {x, c}: 250}
}

func options(t testing.TB, lines string) Options {
	cfg := parse(t, lab)
	return Options{Config: cfg, Now: now, Matrix: apart(), Demand: demand(t, cfg, lines), Stored: 1e12, Months: 10}
}

func made(t testing.TB, opt Options, how Search) *Plan {
	t.Helper()
	p, err := Make(t.Context(), opt, how)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// near compares figures as far as people see them.
func near(a, b float64) bool { return math.Abs(a-b) < 0.005 }

// TestByHand has a world whose figures are computed by hand. 100 TB at lab/a are free, 50 TB at lab/b come from lab/a for
// $500, 20 TB at lab/c for $200. A store holds 1 TB for $20 a month; to fill one from lab/a costs $10.
func TestByHand(t *testing.T) {
	p := made(t, options(t, "lab/a,100\nlab/b,50\nlab/c,20\n"), Search{Stores: 3})
	today := p.Today
	if !near(today.Egress, 700) || !near(today.Storage, 20) || !near(today.TotalUSD, 720) {
		t.Errorf("today costs %+v, want 700 and 20", today.Money)
	}
	// (100 × 1 + 50 × 30 + 20 × 200) / 170 ms
	if !near(today.MeanMS, 5600.0/170) || today.P95MS != 200 {
		t.Errorf("round trips %v and %v, want 32.94 and 200", today.MeanMS, today.P95MS)
	}
	// A store at lab/b takes its 50 TB, and lab/c's 20 TB, which are nearer to it at the same price: 180 ms.
	b := p.Adding[slices.IndexFunc(p.Adding, func(c Change) bool { return c.Place == "lab/b" })]
	if !near(b.Saved, 500) || !near(b.Running, 20) || !near(b.Fill, 10) || !near(b.Net, 480) || b.Payback == nil || !near(*b.Payback, 10.0/480) ||
		!near(b.MeanMS, (100+50+20*180-5600.0)/170) {
		t.Errorf("lab/b changes %+v", b)
	}
	// $2 for a ms and TB: with lab/c, 20 TB × 199 ms are worth $7,960, and with lab/b 1,850 TB·ms are worth $3,700.
	if p.Adding[0].Place != "lab/c" || !near(p.Adding[0].Worth, -200+20+1-7960) {
		t.Errorf("the first is %+v, want lab/c", p.Adding[0])
	}
	var sets []string
	for _, a := range p.ByCount {
		var names []string
		for _, r := range a.Regions {
			names = append(names, r.Place)
		}
		sets = append(sets, strings.Join(names, " "))
		if !a.Proven {
			t.Errorf("%v is not proven: gap %v", names, a.Gap)
		}
	}
	if diff := cmp.Diff([]string{"", "lab/a", "lab/a lab/c", "lab/a lab/b lab/c"}, sets); diff != "" {
		t.Errorf("best sets (-want +got):\n%s", diff)
	}
	// The best one has all three: $60 for storage, and filling two over ten months costs $2 a month.
	if best := p.Best; !near(best.TotalUSD, 62) || !near(best.FillUSD, 20) || best.MeanMS != 1 || !best.Proven {
		t.Errorf("the best set costs %+v, %v ms", best.Money, best.MeanMS)
	}
	// Without lab/a its 100 TB come from lab/b.
	loss := p.Best.Losses[0]
	if loss.Name != "s-a" || !near(loss.USD, 1000) || !near(loss.MeanMS, 100*29.0/170) || loss.Moved[0].Is != p.Best.Regions[1].Name {
		t.Errorf("the loss of lab/a: %+v", loss)
	}
}

// TestNoFeed: a server without a feed of a cloud sends nobody to the stores that serve only this cloud, and the plan says
// so: otherwise it would just advise to close them.
func TestNoFeed(t *testing.T) {
	cfg := parse(t, strings.Replace(lab, "feeds: [{provider: csv, file: lab.csv}]", "feeds: [{provider: gcp}]", 1))
	p := made(t, Options{Config: cfg, Now: now, Matrix: apart(), Demand: demand(t, cfg, "lab/a,100\nlab/b,50\n"), Stored: 1e12}, Search{Stores: 1})
	if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "no feed of lab: ") && strings.Contains(n, " 150 TB ") }) {
		t.Errorf("the notes are %q", p.Notes)
	}
}

// TestRules: each rule changes the best set, or there is none.
func TestRules(t *testing.T) {
	const lines = "lab/a,0.1\nlab/b,50\nlab/c,20\n"
	for _, c := range []struct {
		name  string
		rules Rules
		want  string // of the best set
		fault string
	}{
		{"none", Rules{}, "lab/b lab/c", ""},
		{"keep", Rules{Keep: []string{"s-a"}}, "lab/a lab/b lab/c", ""},
		{"keep all", Rules{Keep: []string{"all"}}, "lab/a lab/b lab/c", ""},
		{"forbid", Rules{Forbid: []string{"lab/b"}}, "lab/a lab/c", ""},
		{"forbid a cloud", Rules{Forbid: []string{"lab"}}, "", ""},
		{"at least", Rules{AtLeast: []AtLeast{{Stores: 3}}}, "lab/a lab/b lab/c", ""},
		{"at least, in a cloud", Rules{AtLeast: []AtLeast{{3, "lab"}}}, "lab/a lab/b lab/c", ""},
		{"only", Rules{Only: []string{"hub"}}, "lab/a", ""},
		{"budget", Rules{Budget: 43.5}, "lab/b lab/c", ""},
		{"budget for one", Rules{Budget: 40}, "", "no set of sites keeps all rules"},
		{"too many", Rules{AtLeast: []AtLeast{{Stores: 4}}}, "", "lab has 3 possible stores, not 4"},
		{"unknown", Rules{Keep: []string{"s-z"}}, "", "--keep s-z: no store"},
		{"contradiction", Rules{Keep: []string{"s-a"}, Forbid: []string{"lab/a"}}, "", "--keep and --forbid are both about s-a"},
	} {
		opt := options(t, lines)
		opt.Rules = c.rules
		p, err := Make(t.Context(), opt, Search{Stores: 1})
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %v, want %s", c.name, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, r := range p.Best.Regions {
			got = append(got, r.Place)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: the best set is %v, want %s", c.name, got, c.want)
		}
	}
}

// TestSurvival: 20 % decide. A store at lab/b saves $21 a month, and costs $20 and $1 for filling: at the usual demand it
// just pays, with less it does not.
func TestSurvival(t *testing.T) {
	opt := options(t, "lab/a,100\nlab/b,2.2\n")
	none := 0.0
	opt.MSValue = &none
	p := made(t, opt, Search{Stores: 2})
	if len(p.Best.Regions) != 2 {
		t.Fatalf("the best set is %v", p.Best.Regions)
	}
	got := map[string]bool{}
	for _, c := range p.Best.Survives {
		got[c.Name] = c.Survives
		if !c.Survives && (!slices.Equal(c.Removed, []string{p.Best.Regions[1].Name}) || !near(c.Regret, 21-0.8*22)) {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	if diff := cmp.Diff(map[string]bool{"prices -20%": false, "prices +20%": true, "demand -20%": false, "demand +20%": true}, got); diff != "" {
		t.Errorf("survives (-want +got):\n%s", diff)
	}
}

// TestHot: of 10 digests of 100 GB each, one has half of the downloads. A store with 10 % of the bytes costs a tenth, and
// serves that half; the rest still comes from lab/a.
func TestHot(t *testing.T) {
	opt := options(t, "lab/b,50\n")
	var objects []traffic.Object
	for i := range 10 {
		o := traffic.Object{Digest: strings.Repeat("x", i+1), Client: place.Place{Cloud: "lab", Region: "b"}, Requests: 1, Bytes: 1e11}
		if i == 4 {
			o.Requests, o.Bytes = 9, 9e11
		}
		objects = append(objects, o)
	}
	opt.Demand.Heat(opt.Config.Map(), objects, 0.1, opt.Stored)
	if c := opt.Demand.Clients[0]; !near(c.Hot, 0.5) || !near(opt.Demand.HotStored, 0.1) {
		t.Fatalf("hot: %v of the downloads, %v of the bytes", c.Hot, opt.Demand.HotStored)
	}
	opt.Hot = true
	p := made(t, opt, Search{Stores: 2})
	b := p.Adding[slices.IndexFunc(p.Adding, func(c Change) bool { return c.Place == "lab/b" })]
	if !near(b.Saved, 250) || !near(b.Running, 2) || !near(b.Fill, 1) || !near(b.MeanMS, 0.5*(1-30)) {
		t.Errorf("lab/b changes %+v", b)
	}
}

// TestWhatIf: s-b is new, and lab/b goes there.
func TestWhatIf(t *testing.T) {
	opt := options(t, "lab/a,100\nlab/b,50\n")
	other := parse(t, strings.Replace(lab, "billing:", `  - {name: s-b, place: lab/b, url: "https://b-b.example/{digest}", bucket: "s3://b-b?region=b", serves: [lab]}`+"\nbilling:", 1))
	c, err := Compare(opt, other, apart())
	if err != nil {
		t.Fatal(err)
	}
	if !near(c.Was.TotalUSD, 520) || !near(c.Is.TotalUSD, 41) || !near(c.Is.FillUSD, 10) {
		t.Errorf("from %+v to %+v", c.Was, c.Is)
	}
	want := []Move{{Client: "lab/b", Bytes: 50e12, Was: "s-a", Is: "s-b", USD: -500, RTTWas: 30, RTTIs: 1}}
	if diff := cmp.Diff(want, c.Moved, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
	if !slices.Contains(c.Stores, "s-b: new") {
		t.Errorf("differs: %v", c.Stores)
	}
}

// TestWhatIfRollouts: the server sends a fixed share of the networks to a store whose rollout is not done. 50 TB at lab/b
// are divided: in 20 of 100 networks s-b had them before, and in 60 it has them now. s-a has 90 of 100: main gets the
// rest, and a network that neither store has.
func TestWhatIfRollouts(t *testing.T) {
	with := func(a, b int) *config.Config {
		return parse(t, strings.Replace(strings.Replace(lab, "serves: [lab]}", fmt.Sprintf("serves: [lab], rollout: %d}", a), 1), "billing:",
			fmt.Sprintf(`  - {name: s-b, place: lab/b, url: "https://b-b.example/{digest}", bucket: "s3://b-b?region=b", serves: [lab], rollout: %d}`+"\nbilling:", b), 1))
	}
	opt := options(t, "lab/b,50\n")
	opt.Config = with(90, 20)
	c, err := Compare(opt, with(100, 60), apart())
	if err != nil {
		t.Fatal(err)
	}
	// Of 50 TB s-b had 10, s-a 36 and main 4. Now s-b has 30 and s-a 20.
	if !near(c.Was.Egress, 36*10+4*100) || !near(c.Is.Egress, 20*10) {
		t.Errorf("$%v and $%v for transfer, want 760 and 200", c.Was.Egress, c.Is.Egress)
	}
	want := []Move{
		{Client: "lab/b", Bytes: 18e12, Was: "s-a", Is: "s-b", USD: -180, RTTWas: 30, RTTIs: 1},
		{Client: "lab/b", Bytes: 2e12, Was: "main", Is: "s-b", USD: -200, RTTWas: 120, RTTIs: 1},
		{Client: "lab/b", Bytes: 2e12, Was: "main", Is: "s-a", USD: -180, RTTWas: 120, RTTIs: 30},
	}
	same := cmpopts.SortSlices(func(a, b Move) bool { return a.Was+a.Is < b.Was+b.Is })
	if diff := cmp.Diff(want, c.Moved, cmpopts.EquateApprox(0, 1e-6), same); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
	if len(c.Notes) > 0 {
		t.Errorf("notes: %q", c.Notes)
	}
}

// TestEnded: when the caller has seen enough, the plan has what was found until then.
func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := Make(ctx, options(t, "lab/a,1\nlab/b,50\n"), Search{})
	if err != nil || !p.Ended || p.Today == nil || len(p.Adding) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestDisagreement: a plan that the router contradicts is refused.
func TestDisagreement(t *testing.T) {
	w, err := New(options(t, "lab/a,1\nlab/b,50\n"))
	if err != nil {
		t.Fatal(err)
	}
	for k := range w.problem.Clients { // as if each client went to canonical
		c := &w.problem.Clients[k]
		c.Options = slices.DeleteFunc(slices.Clone(c.Options), func(o solve.Option) bool { return w.Candidates[o.Site].Name != "main" })
	}
	if _, err := w.answer(w.today); err == nil || !strings.Contains(err.Error(), "clients at lab/b go to s-a, not to main") {
		t.Errorf("%v", err)
	}
}

func TestCSVFaults(t *testing.T) {
	m := parse(t, lab).Map()
	for text, want := range map[string]string{
		"":                                "d.csv is empty",
		"place,TB\n":                      `d.csv, line 1: the header is "place,TB", want "place,TB/month", and "requests/month" where it is known`,
		"place,TB/month\naws/us-east-1\n": "d.csv, line 2: wrong number of fields",
		"place,TB/month\n# ok\naws/us-east-1,x\n": `d.csv, line 3: TB/month: "x" is no number of at least 0`,
		"place,TB/month\naws/us-east-1,1e300\n":   `d.csv, line 2: TB/month: 1e300 is more than 1e+15`,
		"place,TB/month\naws/us-east-1,-1\n":      `d.csv, line 2: TB/month: "-1" is no number of at least 0`,
		"place,TB/month\naws/us-east-1,NaN\n":     `d.csv, line 2: TB/month: "NaN" is no number of at least 0`,
		"place,TB/month\naws/us-eats-1,1\n":       "d.csv, line 2: aws/us-eats-1 is not on the map; did you mean aws/us-east-1?",
		"place,TB/month\nXX,1\n":                  `d.csv, line 2: "XX" is no cloud of the map, no country such as DE, and not unknown`,
		"place,TB/month\nDE,1\nDE,2\n":            "d.csv, line 3: DE is in line 2 already",
		"place,TB/month\nDE,0\n":                  "d.csv: nothing is downloaded",
		"place,TB/month\n\"DE,1\n":                "d.csv, line 2: extraneous or missing \" in quoted-field",
	} {
		if _, err := ReadCSV("d.csv", strings.NewReader(text), m); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	d, err := ReadCSV("d.csv", strings.NewReader("\ufeffplace, TB/month, requests/month\nlab/a, 1.5, 2e6\naws,1,0\nunknown,0.5,1\n"), m)
	if err != nil {
		t.Fatal(err)
	}
	want := []Client{{Place: place.Place{Cloud: "lab", Region: "a"}, Bytes: 1.5e12, Requests: 2e6}, {Place: place.Place{Cloud: "aws"}, Bytes: 1e12}, {Bytes: 0.5e12, Requests: 1}}
	if diff := cmp.Diff(want, d.Clients); diff != "" {
		t.Errorf("demand (-want +got):\n%s", diff)
	}
}

// TestCounter: only downloads of clients count, of one source, as those of a month.
func TestCounter(t *testing.T) {
	m := parse(t, lab).Map()
	c := NewCounter(m)
	add := func(day traffic.Day, region string, class traffic.Class, op traffic.Operation, from traffic.Source, bytes float64) {
		c.Add(&traffic.Row{Key: traffic.Key{Day: day, Client: place.Place{Cloud: "lab", Region: region}, Class: class, Operation: op, Source: from}, Requests: 1, Bytes: bytes})
	}
	add(1, "a", traffic.Client, traffic.Get, traffic.FromProxy, 10)
	add(2, "a", traffic.Client, traffic.Get, traffic.FromProxy, 20)
	add(2, "a", traffic.Client, traffic.Head, traffic.FromProxy, 99)
	add(2, "elsewhere", traffic.Client, traffic.Get, traffic.FromProxy, 5)
	add(2, "a", traffic.Own, traffic.Get, traffic.FromProxy, 1000)
	add(2, "a", traffic.Client, traffic.Get, traffic.FromStore, 30) // the same requests
	d, source := c.Demand()
	if source != traffic.FromProxy || d.Days != 2 || len(d.Clients) != 2 {
		t.Fatalf("%+v from %s", d, source)
	}
	if a, b := d.Clients[0], d.Clients[1]; !near(a.Bytes, 30*Month/2) || !near(a.Requests, 3*Month/2) || b.Name() != "lab" || !near(b.Bytes, 5*Month/2) {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestParseAtLeast(t *testing.T) {
	for text, want := range map[string]AtLeast{"2 per cloud": {Stores: 2}, "3 in aws": {3, "aws"}, "2": {}, "0 per cloud": {}, "x": {}, "": {}} {
		got, err := ParseAtLeast(text)
		if got != want || (err == nil) != (want != AtLeast{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
