package record

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/console/view"
)

// Recorder is the [view.Source] of one server. The zero value is ready. Several goroutines may use it.
//
// It takes at most 4 MB with the view: see history and before; 120 rates of 8 bytes of at most 256 candidates; 200 events of at most
// 600 bytes. A registry with 20 candidates and clients in 30 regions takes about 200 kB.
type Recorder struct {
	mu      sync.Mutex
	history history
	served  []served // of the marks of the last minute

	standings map[string]standing
	levels    map[string]view.Level // what compare saw last
	words     map[string]string
	holding   []string
	used      view.Config
	events    []view.Event // oldest first
	changed   time.Time    // when candidates left or came back, the last time

	steps map[string]*steps // by candidate; "" for all of them
	step  time.Time         // when the last step ended
	spent float64           // dollars since the first sample
	hour  []float64         // spent, at the end of each step of the last hour

	current atomic.Pointer[view.View]
}

// served is what was answered until a time.
type served struct {
	at               time.Time
	requests, errors float64
}

// steps are the bytes a second of the steps of the last hour, oldest first. A step's slice is never changed.
type steps struct{ values []float64 }

var errNothing = errors.New("this server has not yet looked at itself: try again in a few seconds")

// View implements [view.Source].
func (r *Recorder) View(context.Context) (*view.View, error) {
	if v := r.current.Load(); v != nil {
		return v, nil
	}
	return nil, errNothing
}

// Observe takes a sample and makes the next view.
func (r *Recorder) Observe(s *Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := s.View
	r.spent += max(0, r.history.add(v.At, s.Counts).Dollars)
	r.advance(v.At)
	r.serve(&v, s)
	r.follow(&v, s.Holding)
	rates := r.history.now(r.changed)
	r.flows(&v, s, rates)
	for i := range v.Candidates {
		c := &v.Candidates[i]
		if b := r.standings[c.Name].had; b != nil {
			c.Moved = b.moved(c.Name, rates)
		}
		c.Series = r.series(c.Name)
	}
	v.Totals = r.series("")
	v.Events = r.recent(v.At)
	if v.Every == 0 {
		v.Every = Every
	}
	v.Judge()
	r.current.Store(&v)
}

// serve computes the rates of requests.
func (r *Recorder) serve(v *view.View, s *Sample) {
	r.served = append(r.served, served{v.At, s.Requests, s.Errors})
	for len(r.served) > 1 && (v.At.Sub(r.served[0].at) > window+Every/2 || r.served[0].at.After(v.At)) {
		r.served = slices.Delete(r.served, 0, 1)
	}
	if old := r.served[0]; old.at.Before(v.At) {
		d := v.At.Sub(old.at).Seconds()
		v.Serving.Requests, v.Serving.Errors = max(0, s.Requests-old.requests)/d, max(0, s.Errors-old.errors)/d
	}
}

// flows adds the flows, the rates of the candidates, and money.
func (r *Recorder) flows(v *view.View, s *Sample, rates map[Way]view.Rate) {
	of := map[string]view.Rate{}
	var all view.Rate
	instead := 0.0 // what the canonical upstream would cost
	v.Money.SavedKnown = s.Canonical != nil
	v.Flows = make([]view.Flow, 0, len(rates))
	for w, rate := range rates {
		f := view.Flow{From: w.From, To: w.To, Rate: rate, Cents: cents(rate)}
		if s.Spot != nil {
			f.Spot = s.Spot(w.From)
		}
		v.Flows = append(v.Flows, f)
		of[w.To] = sum(of[w.To], rate)
		all = sum(all, rate)
		if rate.Bytes == 0 || s.Canonical == nil {
			continue
		}
		if c, known := s.Canonical(w.From); known && !math.IsInf(c, 0) && !math.IsNaN(c) {
			instead += hourly(rate.Bytes, c)
		} else {
			v.Money.SavedKnown = false
			instead += rate.Dollars
		}
	}
	for i := range v.Candidates {
		c := &v.Candidates[i]
		c.Rate = of[c.Name]
		c.Cents = cents(c.Rate)
	}
	v.Money.Hour, v.Money.LastHour = all.Dollars, r.spent
	if s.Canonical != nil {
		v.Money.Saved = instead - all.Dollars
	}
	if len(r.hour) > 0 {
		v.Money.LastHour -= r.hour[0]
	}
}

// advance ends a step of the series if it is time.
func (r *Recorder) advance(now time.Time) {
	end := now.Truncate(view.Step)
	if !end.After(r.step) && now.Sub(r.step) > -view.Step { // the last condition: the clock was set back
		return
	}
	last := *r.history.last()
	begun := !r.step.IsZero() && last.at.After(r.history.step.at)
	missed := 0
	if begun { // a machine that slept
		missed = min(view.Points, int(end.Sub(r.step)/view.Step)-1)
	}
	r.step = end
	rates := map[string]float64{"": 0}
	if begun {
		for w, rate := range r.history.between(&r.history.step, &last) {
			rates[w.To] += rate.Bytes
			rates[""] += rate.Bytes
		}
	}
	r.history.step = last
	if !begun {
		r.steps, r.hour = map[string]*steps{}, append(r.hour[:0], r.spent)
		return
	}
	for name := range rates {
		if r.steps[name] == nil {
			r.steps[name] = &steps{}
		}
	}
	for name, s := range r.steps {
		s.push(missed, rates[name])
		if name != "" && !slices.ContainsFunc(s.values, func(f float64) bool { return f > 0 }) {
			delete(r.steps, name)
		}
	}
	for range missed + 1 {
		r.hour = append(r.hour, r.spent)
	}
	r.hour = r.hour[max(0, len(r.hour)-view.Points-1):]
}

// push adds a step, after missed ones of which nothing is known.
func (s *steps) push(missed int, value float64) {
	values := slices.Clone(s.values)
	for range missed {
		values = append(values, math.NaN())
	}
	values = append(values, value)
	s.values = slices.Clone(values[max(0, len(values)-view.Points):])
}

// series returns the series of a candidate; "": of all.
func (r *Recorder) series(name string) view.Series {
	out := view.Series{End: r.step, Step: view.Step}
	if s := r.steps[name]; s != nil {
		out.Values = s.values
	}
	return out
}
