package gate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/prometheus"
)

// Verdict is what a gate says.
type Verdict string

// The verdicts. None is no data, or too little traffic.
const (
	Good Verdict = "good"
	Bad  Verdict = "bad"
	None Verdict = "none"
)

// Result is what one gate said.
type Result struct {
	Gate    string  `json:"gate"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"` // for people: the value and its bound, or why there is no verdict
	// At is when its data are of. A command runs beside the evaluations, so several have the same result.
	At time.Time `json:"at"`
}

// Evaluation is what all gates said at one time.
type Evaluation struct {
	At       time.Time `json:"at"`
	Presence Presence  `json:"presence"`
	// Traffic says what is missing of the minimum of traffic; "" means nothing.
	Traffic string   `json:"traffic,omitempty"`
	Results []Result `json:"gates"`
}

// Source answers Prometheus expressions. No series is no error.
type Source interface {
	Query(ctx context.Context, expr string, at time.Time) ([]prometheus.Sample, error)
}

// Judge evaluates the gates of a file. Close ends its commands. One goroutine may use it at a time.
type Judge struct {
	file   *File
	source Source
	run    []*runner // by gate; nil for expressions
}

// NewJudge makes a Judge. baseline are the failures that each command had before, by gate, as [Judge.Baseline] found
// them. They count no more.
func NewJudge(f *File, source Source, baseline map[string][]string) *Judge {
	j := &Judge{file: f, source: source, run: make([]*runner, len(f.Gates))}
	for i := range f.Gates {
		if g := &f.Gates[i]; g.Expr == "" {
			j.run[i] = &runner{gate: g, known: baseline[g.Name]}
		}
	}
	return j
}

// Close ends the commands and waits for their end.
func (j *Judge) Close() {
	for _, r := range j.run {
		if r != nil {
			r.close()
		}
	}
}

// parallel is how many queries run at once, and within how long an evaluation takes at most: an old value is of no use.
const (
	parallel = 4
	within   = time.Minute
)

// Evaluate asks everything once. What has no answer in time has no verdict.
func (j *Judge) Evaluate(ctx context.Context, at At) *Evaluation {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	x := &expander{file: j.file, at: at, now: time.Now()}
	e := &Evaluation{At: x.now, Results: make([]Result, len(j.file.Gates))}
	traffic := make([]string, len(j.file.Traffic))
	var work sync.WaitGroup
	slots := make(chan struct{}, parallel)
	do := func(f func()) {
		work.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f()
		})
	}
	do(func() { e.Presence = j.presence(ctx, x) })
	for i := range traffic {
		do(func() { traffic[i] = j.enough(ctx, x, &j.file.Traffic[i]) })
	}
	for i := range j.file.Gates {
		g := &j.file.Gates[i]
		if r := j.run[i]; r != nil {
			e.Results[i] = r.latest(ctx, at)
		} else {
			do(func() { e.Results[i] = j.expression(ctx, x, g) })
		}
	}
	work.Wait()
	e.Traffic = strings.Join(slices.DeleteFunc(traffic, func(s string) bool { return s == "" }), "; ")
	for i := range e.Results {
		g, r := &j.file.Gates[i], &e.Results[i]
		r.Gate = g.Name
		if e.Traffic != "" && g.Expr != "" && !g.Quiet && r.Verdict != None {
			r.Verdict, r.Detail = None, r.Detail+"; too little traffic"
		}
	}
	return e
}

// Preview evaluates the expressions as if the instances of some rings, which have these generations, had a change. It
// runs no commands.
func (j *Judge) Preview(ctx context.Context, rings map[string]uint64) *Evaluation {
	file := *j.file
	file.Gates = slices.DeleteFunc(slices.Clone(file.Gates), func(g Gate) bool { return g.Expr == "" })
	return NewJudge(&file, j.source, nil).Evaluate(ctx, At{Want: rings, Published: time.Now()})
}

// present lets Prometheus take its own time: the clock of this machine may differ.
var present time.Time

// enough returns what is missing of a minimum of traffic.
func (j *Judge) enough(ctx context.Context, x *expander, t *Traffic) string {
	got, err := j.source.Query(ctx, x.expand(t.Expr, changed), present)
	if err != nil {
		return fmt.Sprintf("%s: %v", t.Name, err)
	}
	var sum float64
	for _, s := range got {
		if !math.IsNaN(s.Value) {
			sum += s.Value
		}
	}
	if len(got) == 0 {
		return t.Name + ": no data"
	}
	if sum < t.Min {
		return fmt.Sprintf("%s: %s of %s", t.Name, number(sum), number(t.Min))
	}
	return ""
}

func (j *Judge) expression(ctx context.Context, x *expander, g *Gate) Result {
	r := Result{Verdict: None, At: x.now}
	got, err := j.values(ctx, x, g.Expr, changed)
	switch {
	case err != nil:
		r.Detail = err.Error()
		return r
	case len(got) == 0:
		r.Detail = "no data"
		return r
	}
	var reference float64
	if g.Factor != nil {
		if reference, err = j.reference(ctx, x, g); err != nil {
			r.Detail = err.Error()
			// A value beyond an absolute bound is bad, whatever others have.
			if verdict, detail := g.judge(got, nil); verdict == Bad {
				r.Verdict, r.Detail = Bad, detail
			}
			return r
		}
	}
	r.Verdict, r.Detail = g.judge(got, &reference)
	return r
}

// values returns the values of an expression that are numbers.
func (j *Judge) values(ctx context.Context, x *expander, expr string, who side) ([]prometheus.Sample, error) {
	got, err := j.source.Query(ctx, x.expand(expr, who), present)
	return slices.DeleteFunc(got, func(s prometheus.Sample) bool { return math.IsNaN(s.Value) }), err
}

// reference is the highest value of the instances without the change; where they have none, of those with it, before. An
// infinite one would allow everything, so it does not count.
func (j *Judge) reference(ctx context.Context, x *expander, g *Gate) (float64, error) {
	for _, who := range []side{others, earlier} {
		got, err := j.values(ctx, x, g.Expr, who)
		if err != nil {
			return 0, err
		}
		got = slices.DeleteFunc(got, func(s prometheus.Sample) bool { return math.IsInf(s.Value, 0) })
		if len(got) > 0 {
			return slices.MaxFunc(got, func(a, b prometheus.Sample) int { return cmp.Compare(a.Value, b.Value) }).Value, nil
		}
	}
	return 0, fmt.Errorf("no data of other instances, or of the time before")
}

// judge compares values with the bounds. reference is nil if it is not known; then factor bounds nothing.
func (g *Gate) judge(got []prometheus.Sample, reference *float64) (Verdict, string) {
	worst, detail := Good, ""
	for _, s := range got {
		verdict, bounds := Good, []string{}
		within := func(ok bool, word string, limit float64) {
			if bounds = append(bounds, word+" "+number(limit)); !ok {
				verdict = Bad
			}
		}
		if g.Max != nil {
			within(s.Value <= *g.Max, "at most", *g.Max)
		}
		if g.Min != nil {
			within(s.Value >= *g.Min, "at least", *g.Min)
		}
		if g.Factor != nil && reference != nil {
			limit := *g.Factor**reference + g.Plus
			within(s.Value <= limit, "at most", limit)
		}
		if detail == "" || worst == Good && verdict == Bad {
			worst, detail = verdict, fmt.Sprintf("%s%s (%s)", number(s.Value), labels(s.Labels), strings.Join(bounds, ", "))
		}
	}
	return worst, detail
}

// number writes a value in four digits.
func number(v float64) string { return fmt.Sprintf("%.4g", v) }

func labels(of map[string]string) string {
	var all []string
	for name, value := range of {
		if name != "__name__" {
			all = append(all, fmt.Sprintf("%s=%q", name, value))
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return " of " + strings.Join(all, " ")
}
