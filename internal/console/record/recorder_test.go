package record

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/console/view"
)

const gib = 1 << 30

var begin = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

// bed is a server with two stores and a canonical upstream. Clients are in two places.
type bed struct {
	Recorder
	now        time.Time
	counts     map[Way]Count
	rates      map[Way]view.Rate // what clients do
	candidates []view.Candidate
	requests   float64
	errors     float64 // a second
	config     view.Config
	problems   []view.Problem
	holding    []string
}

func newBed() *bed {
	b := &bed{
		now: begin, counts: map[Way]Count{}, rates: map[Way]view.Rate{},
		candidates: []view.Candidate{
			{Name: "va", Kind: "store", State: view.In}, {Name: "fra", Kind: "store", State: view.In}, {Name: "main", Kind: "canonical", State: view.In},
		},
		config: view.Config{Hash: "a", Loaded: begin},
	}
	b.rates[Way{"aws/us-east-1", "va"}] = view.Rate{Redirects: 2, Bytes: gib / 100, Dollars: 0}
	b.rates[Way{"aws/us-east-1", "main"}] = view.Rate{Redirects: 1, Bytes: gib / 1000, Dollars: 0.9}
	b.rates[Way{"gcp/europe-west3", "fra"}] = view.Rate{Redirects: 4, Bytes: gib / 50, Dollars: 7.2}
	return b
}

func (b *bed) run(d time.Duration) *view.View {
	for end := b.now.Add(d); ; {
		s := &Sample{Counts: map[Way]Count{}, Requests: b.requests, Errors: b.errors * b.now.Sub(begin).Seconds(), Holding: b.holding,
			Canonical: func(place string) (float64, bool) { return 9, place != "mars" }}
		for w, c := range b.counts {
			s.Counts[w] = c
		}
		s.View = view.View{At: b.now, Candidates: append([]view.Candidate(nil), b.candidates...), Config: b.config,
			Problems: append([]view.Problem(nil), b.problems...), Serving: view.Serving{Text: "serving"}}
		b.Observe(s)
		if !b.now.Before(end) {
			v, _ := b.View(context.Background())
			return v
		}
		b.now = b.now.Add(Every)
		b.requests += 10 * Every.Seconds()
		for w, r := range b.rates {
			b.counts[w] = b.counts[w].plus(Count{r.Redirects * Every.Seconds(), r.Bytes * Every.Seconds(), r.Dollars * Every.Hours()})
		}
	}
}

func (b *bed) set(name string, s view.State, why string) {
	for i := range b.candidates {
		if c := &b.candidates[i]; c.Name == name {
			c.State, c.Since, c.Why = s, b.now.Add(-2*time.Second), why
		}
	}
}

var roughly = cmp.Options{cmpopts.EquateApprox(0.01, 0.001), cmpopts.EquateNaNs()}

func candidate(t *testing.T, v *view.View, name string) *view.Candidate {
	t.Helper()
	for i := range v.Candidates {
		if v.Candidates[i].Name == name {
			return &v.Candidates[i]
		}
	}
	t.Fatalf("no candidate %s", name)
	return nil
}

// TestRates checks rates, prices, money and series of steady traffic.
func TestRates(t *testing.T) {
	b := newBed()
	b.errors = 1
	v := b.run(10 * time.Minute)
	want := []view.Flow{
		{From: "gcp/europe-west3", To: "fra", Rate: view.Rate{Redirects: 4, Bytes: gib / 50, Dollars: 7.2}, Cents: 10},
		{From: "aws/us-east-1", To: "va", Rate: view.Rate{Redirects: 2, Bytes: gib / 100}},
		{From: "aws/us-east-1", To: "main", Rate: view.Rate{Redirects: 1, Bytes: gib / 1000, Dollars: 0.9}, Cents: 25},
	}
	if diff := cmp.Diff(want, v.Flows, roughly); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
	// The canonical upstream costs 9 cents a GiB: 3600 × (1/50 + 1/100 + 1/1000) × 9 cents = 10.04 dollars an hour.
	money := view.Money{Hour: 8.1, Saved: 10.044 - 8.1, SavedKnown: true, LastHour: 8.1 / 6}
	if diff := cmp.Diff(money, v.Money, roughly); diff != "" {
		t.Errorf("money (-want +got):\n%s", diff)
	}
	if v.Serving.Requests != 10 || v.Serving.Errors != 1 || len(v.Problems) != 1 {
		t.Errorf("%+v, %+v", v.Serving, v.Problems)
	}
	va := candidate(t, v, "va").Series
	if len(va.Values) != 20 || math.Abs(va.Values[19]-gib/100) > 1 || !va.End.Equal(begin.Add(10*time.Minute)) {
		t.Errorf("series %+v", va)
	}
	b.rates[Way{"mars", "va"}] = view.Rate{Redirects: 1, Bytes: 5}
	if v = b.run(time.Hour + time.Minute); v.Money.SavedKnown || len(v.Totals.Values) != view.Points {
		t.Errorf("a place without price: %+v, %d points", v.Money, len(v.Totals.Values))
	}
	if math.Abs(v.Money.LastHour-8.1) > 0.15 {
		t.Errorf("spent in the last hour: %f", v.Money.LastHour)
	}
}

// TestMoved: the traffic of a store that goes out is found where it went, with what that costs, also if clients ask for
// twice as much in the meantime. Traffic of other places does not count.
func TestMoved(t *testing.T) {
	for what, scale := range map[string]float64{"as much": 1, "twice as much": 2, "a third": 1. / 3} {
		t.Run(what, func(t *testing.T) {
			b := newBed()
			b.run(8 * time.Minute)
			b.now = b.now.Add(Every)
			b.set("va", view.Out, "503")
			for w, r := range b.rates {
				b.rates[w] = view.Rate{Redirects: r.Redirects * scale, Bytes: r.Bytes * scale, Dollars: r.Dollars * scale}
			}
			delete(b.rates, Way{"aws/us-east-1", "va"})
			b.rates[Way{"aws/us-east-1", "fra"}] = view.Rate{Redirects: 2 * scale, Bytes: gib / 100 * scale, Dollars: 0.72 * scale} // 2 cents
			v := b.run(20 * time.Second)
			if v.Candidates[0].Name != "va" || v.Problems[0].Text != "va is out of service: 503." {
				t.Fatalf("first %+v, %+v", v.Candidates[0], v.Problems)
			}
			want := []view.Moved{{To: "fra", Rate: view.Rate{Redirects: 2 * scale, Bytes: gib / 100 * scale, Dollars: 0.72 * scale}, Extra: 0.72 * scale}}
			if diff := cmp.Diff(want, candidate(t, v, "va").Moved, roughly); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			b.set("va", view.In, "")
			if v = b.run(0); len(candidate(t, v, "va").Moved) != 0 {
				t.Error("it is back, and something is said to be moved")
			}
		})
	}
}

// TestOutFromTheStart: nothing is claimed about a time that nobody saw.
func TestOutFromTheStart(t *testing.T) {
	b := newBed()
	b.candidates[0].State = view.Out
	v := b.run(3 * time.Minute)
	c := candidate(t, v, "va")
	if !c.Before || !c.Since.Equal(begin) || c.Moved != nil || len(v.Events) != 0 {
		t.Errorf("%+v, events %+v", c, v.Events)
	}
}

// TestEvents checks what the recorder says about changes, youngest first.
func TestEvents(t *testing.T) {
	b := newBed()
	b.run(2 * time.Minute)
	b.set("va", view.Out, "503")
	b.run(0)
	b.now = b.now.Add(time.Minute)
	b.set("va", view.In, "")
	b.holding = []string{"fra is off by alice"}
	b.problems = []view.Problem{{Level: view.Bad, Text: "Health is frozen."}}
	b.config = view.Config{Hash: "b", Loaded: b.now, Refused: "line 3"}
	b.candidates = append(b.candidates[:2], view.Candidate{Name: "new", State: view.Joining})
	b.run(0)
	b.holding, b.problems, b.config.Refused = nil, nil, ""
	b.now = b.now.Add(time.Minute)
	b.set("fra", view.In, "")
	v := b.run(0)
	var got []string
	for _, e := range v.Events {
		got = append(got, fmt.Sprintf("%s %s %s: %s", e.At.Format("04:05"), e.Level, e.Subject, e.Text))
	}
	want := []string{
		"04:00 ok override: ended: fra is off by alice",
		"04:00 ok config: nothing is refused any more",
		"04:00 ok over: Health is frozen.",
		"03:58 warning fra: left and came back to: in service",
		"03:00 warning override: fra is off by alice",
		"03:00 ok config: changed from a to b",
		"03:00 bad problem: Health is frozen.",
		"03:00 warning main: was removed from the config",
		"03:00 warning new: was added",
		"02:58 ok va: is back in service after 1m0s",
		"01:58 bad va: went out of service: 503",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.now = b.now.Add(2 * time.Hour)
	if v = b.run(0); len(v.Events) != 0 {
		t.Errorf("after hours: %+v", v.Events)
	}
}

// TestMemory: whatever clients and reloads do, the history stays small.
func TestMemory(t *testing.T) {
	b := newBed()
	for i := range 400 {
		b.rates = map[Way]view.Rate{}
		b.counts = map[Way]Count{} // counters begin again
		for k := range 20 {
			b.rates[Way{fmt.Sprint(i), fmt.Sprint(k)}] = view.Rate{Bytes: 1}
		}
		b.candidates[0].Name = fmt.Sprint(i)
		b.candidates[1].State = []view.State{view.In, view.Out}[i%2]
		b.candidates[1].Since = b.now
		b.run(Every)
	}
	if n := len(b.history.marks); n > 27 {
		t.Errorf("%d marks", n)
	}
	if n := len(b.history.ways); n > 20+spareColumns+20 {
		t.Errorf("%d columns", n)
	}
	if n := len(b.steps); n > 20*view.Points+1 {
		t.Errorf("%d series", n)
	}
	if n := len(b.events); n > view.MaxEvents {
		t.Errorf("%d events", n)
	}
	if n := len(b.standings); n != 3 {
		t.Errorf("%d standings", n)
	}
}

// TestClocksThatJump: a clock that is set back or a machine that slept does no harm.
func TestClocksThatJump(t *testing.T) {
	b := newBed()
	b.run(3 * time.Minute)
	b.now = b.now.Add(-time.Hour)
	b.run(3 * time.Minute)
	b.now = b.now.Add(30 * time.Hour)
	v := b.run(3 * time.Minute)
	if len(v.Totals.Values) > view.Points || v.Money.Hour < 8 || v.Money.Hour > 8.2 {
		t.Errorf("%d points, %+v", len(v.Totals.Values), v.Money)
	}
}

// BenchmarkObserve measures a sample of a large server: 64 candidates, 1,400 ways.
func BenchmarkObserve(b *testing.B) {
	bed := newBed()
	for i := range 64 {
		bed.candidates = append(bed.candidates, view.Candidate{Name: fmt.Sprint("c", i), State: view.In})
	}
	for i := range 1400 {
		bed.rates[Way{fmt.Sprint("aws/", i/20), fmt.Sprint("c", i%64)}] = view.Rate{Bytes: 1e6, Dollars: 1}
	}
	bed.run(10 * time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		bed.run(Every) // two samples and the counting of the bed
	}
}

// TestForgottenWays: counters that are no longer there, as after a reload, do not disturb the rates of the others.
func TestForgottenWays(t *testing.T) {
	b := newBed()
	want := b.rates[Way{"gcp/europe-west3", "fra"}].Bytes
	for i := range 2 * spareColumns {
		b.counts[Way{fmt.Sprint("gone/", i), "va"}] = Count{Bytes: gib}
	}
	b.run(50 * time.Second) // in the middle of a step of the series
	for w := range b.counts {
		if strings.HasPrefix(w.From, "gone/") {
			delete(b.counts, w)
		}
	}
	v := b.run(time.Minute)
	for _, c := range v.Candidates {
		for i, got := range c.Series.Values {
			if c.Name == "fra" && math.Abs(got-want) > want/100 || got > gib/10 {
				t.Errorf("%s: step %d: %.0f bytes a second", c.Name, i, got)
			}
		}
	}
}

// TestNumbersInProblems: a problem whose text has another number each time, such as a port, is one event.
func TestNumbersInProblems(t *testing.T) {
	var r Recorder
	at := time.Unix(1e9, 0)
	for i := range 300 {
		v := view.View{At: at.Add(time.Duration(i) * Every)}
		if 0 < i && i < 299 {
			v.Problems = []view.Problem{{Level: view.Warning, Text: fmt.Sprint("read 192.0.2.1:", 40000+i, ": reset")}}
		}
		r.Observe(&Sample{View: v})
	}
	v, err := r.View(t.Context())
	if err != nil || len(v.Events) != 2 || v.Events[0].Subject != "over" || v.Events[1].Subject != "problem" {
		t.Errorf("%+v, %v", v.Events, err)
	}
}
