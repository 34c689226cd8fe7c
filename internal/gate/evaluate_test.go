package gate

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/prometheus"
)

// script answers expressions without a Prometheus. test/gates runs the same gates on a real one.
type script func(expr string) ([]prometheus.Sample, error)

func (s script) Query(_ context.Context, expr string, at time.Time) ([]prometheus.Sample, error) {
	if !at.IsZero() {
		return nil, errors.New("the clock of this machine decides what is present")
	}
	return s(expr)
}

// values makes samples without labels.
func values(of ...float64) (out []prometheus.Sample) {
	for _, v := range of {
		out = append(out, prometheus.Sample{Value: v})
	}
	return out
}

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("g.yaml", []byte("version: 1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// step is a step that was published a moment ago to the ring canary as generation 7.
func step() At {
	return At{New: []uint64{7}, Want: map[string]uint64{"canary": 7}, Published: time.Now().Add(-30 * time.Second)}
}

// canary is the answer about instances: one, which has the step.
var canary = []prometheus.Sample{{Labels: map[string]string{"job": "p", "instance": "a", "ring": "canary", "generation": "7"}, Value: 1}}

var errAway = errors.New("connection refused")

// TestEvaluate: what each kind of answer makes of a gate. The expression of the gate has the series x for the instances
// with the step, and those of the others and of the time before differ by $new, $old and offset.
func TestEvaluate(t *testing.T) {
	const bounds = "gates: [{name: g, expr: x, max: 1, min: -1}]"
	const factor = "gates: [{name: g, expr: 'x $offset * $instances', factor: 2, plus: 0.5}]"
	const both = "gates: [{name: g, expr: 'x $offset * $instances', factor: 2, plus: 0.5, max: 10}]"
	const traffic = "\ntraffic: [{name: requests, expr: 't * $new', min: 50}]"
	type answer struct {
		now, others, before, traffic []prometheus.Sample
		fails                        string // the side that cannot be asked
	}
	labelled := []prometheus.Sample{{Labels: map[string]string{"__name__": "x", "zone": "b", "store": "a"}, Value: 3}}
	for name, tt := range map[string]struct {
		file string
		answer
		want   Verdict
		detail string
	}{
		"within":                      {bounds, answer{now: values(1, -1)}, Good, "1 (at most 1, at least -1)"},
		"one series is above":         {bounds, answer{now: values(0, 1.01)}, Bad, "1.01 (at most 1, at least -1)"},
		"one series is below":         {bounds, answer{now: values(-2, 0)}, Bad, "-2 (at most 1, at least -1)"},
		"its labels are told":         {bounds, answer{now: labelled}, Bad, `3 of store="a" zone="b" (at most 1, at least -1)`},
		"no series":                   {bounds, answer{}, None, "no data"},
		"not a number":                {bounds, answer{now: values(math.NaN())}, None, "no data"},
		"a number beside NaN":         {bounds, answer{now: values(math.NaN(), 5)}, Bad, "5 (at most 1, at least -1)"},
		"infinite":                    {bounds, answer{now: values(math.Inf(1))}, Bad, "+Inf (at most 1, at least -1)"},
		"cannot be asked":             {bounds, answer{fails: "now"}, None, "connection refused"},
		"like the others":             {factor, answer{now: values(2.5), others: values(0.2, 1), before: values(0)}, Good, "2.5 (at most 2.5)"},
		"worse than the others":       {factor, answer{now: values(2.6), others: values(1), before: values(9)}, Bad, "2.6 (at most 2.5)"},
		"no others, as before":        {factor, answer{now: values(2.5), before: values(1)}, Good, "2.5 (at most 2.5)"},
		"no others, worse":            {factor, answer{now: values(2.6), before: values(1)}, Bad, "2.6 (at most 2.5)"},
		"others are NaN":              {factor, answer{now: values(2.6), others: values(math.NaN()), before: values(1)}, Bad, "2.6 (at most 2.5)"},
		"others are infinite":         {factor, answer{now: values(2.6), others: values(math.Inf(1)), before: values(1)}, Bad, "2.6 (at most 2.5)"},
		"nothing to compare with":     {factor, answer{now: values(99)}, None, "no data of other instances, or of the time before"},
		"others cannot be asked":      {factor, answer{now: values(99), before: values(1), fails: "others"}, None, "connection refused"},
		"before cannot be asked":      {factor, answer{now: values(99), fails: "before"}, None, "connection refused"},
		"beyond max, no reference":    {both, answer{now: values(11)}, Bad, "11 (at most 10)"},
		"within max, no reference":    {both, answer{now: values(9)}, None, "no data of other instances, or of the time before"},
		"within factor, beyond max":   {both, answer{now: values(11), others: values(10)}, Bad, "11 (at most 10, at most 20.5)"},
		"enough traffic":              {bounds + traffic, answer{now: values(0), traffic: values(20, 30)}, Good, "0 (at most 1, at least -1)"},
		"too little: good is none":    {bounds + traffic, answer{now: values(0), traffic: values(49)}, None, "0 (at most 1, at least -1); too little traffic"},
		"too little: bad is none too": {bounds + traffic, answer{now: values(5), traffic: values(49)}, None, "5 (at most 1, at least -1); too little traffic"},
		"no traffic at all":           {bounds + traffic, answer{now: values(0)}, None, "0 (at most 1, at least -1); too little traffic"},
		"traffic is NaN":              {bounds + traffic, answer{now: values(0), traffic: values(math.NaN())}, None, "0 (at most 1, at least -1); too little traffic"},
		"traffic cannot be asked":     {bounds + traffic, answer{now: values(0), fails: "traffic"}, None, "0 (at most 1, at least -1); too little traffic"},
		"quiet needs no traffic":      {"gates: [{name: g, expr: x, max: 1, quiet: true}]" + traffic, answer{now: values(5)}, Bad, "5 (at most 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			source := script(func(expr string) ([]prometheus.Sample, error) {
				side, got := "now", tt.now
				switch {
				case strings.Contains(expr, "ociproxy_config_info{}") || strings.HasPrefix(expr, "last_over_time"):
					return canary, nil
				case strings.HasPrefix(expr, "t "):
					side, got = "traffic", tt.traffic
				case strings.Contains(expr, "!~"):
					side, got = "others", tt.others
				case strings.Contains(expr, "offset"):
					side, got = "before", tt.before
				}
				if side == tt.fails {
					return nil, errAway
				}
				return got, nil
			})
			j := NewJudge(parse(t, tt.file), source, nil)
			defer j.Close()
			e := j.Evaluate(t.Context(), step())
			if r := e.Results[0]; r.Verdict != tt.want || r.Detail != tt.detail || r.Gate != "g" || r.At.IsZero() {
				t.Errorf("%+v, want %s: %s", r, tt.want, tt.detail)
			}
			if !e.Presence.OK {
				t.Error(e.Presence)
			}
		})
	}
}

// TestTrafficDetail: the person who waits reads how much is missing.
func TestTrafficDetail(t *testing.T) {
	f := parse(t, "gates: [{name: g, expr: x, max: 1}]\ntraffic: [{name: requests, expr: a, min: 50}, {name: blobs, expr: b, min: 1}, {name: pulls, expr: c, min: 1}]")
	source := script(func(expr string) ([]prometheus.Sample, error) {
		switch expr {
		case "a":
			return values(12, 3), nil
		case "b":
			return nil, errAway
		}
		return nil, nil
	})
	e := NewJudge(f, source, nil).Evaluate(t.Context(), step())
	if want := "requests: 15 of 50; blobs: connection refused; pulls: no data"; e.Traffic != want {
		t.Errorf("%q, want %q", e.Traffic, want)
	}
}

// TestExpand: the variables of an expression, for each side of a comparison.
func TestExpand(t *testing.T) {
	now := time.Now()
	f := parse(t, "window: 1m\ninstances: {match: ' job=\"p\", ', by: [cluster, pod]}\ngates: [{name: g, expr: x, max: 1}]")
	at := func(generations ...uint64) At {
		return At{New: generations, Want: map[string]uint64{"early": 6, "canary": 7}, Published: now.Add(-90500 * time.Millisecond)}
	}
	join := func(match string) string {
		return "on (cluster, pod) group_left () (max by (cluster, pod) (ociproxy_config_info{" + match + `,job="p"}))`
	}
	for _, tt := range []struct {
		at   At
		who  side
		expr string
		want string
	}{
		{at(6, 7), changed, "a * $new", "a * " + join(`generation=~"6|7"`)},
		{at(6, 7), changed, "a * $old", "a * " + join(`generation!~"6|7"`)},
		{at(6, 7), changed, "a[$window] $offset * $instances", "a[60s]  * " + join(`generation=~"6|7"`)},
		{at(6, 7), others, "a[$window] $offset * $instances", "a[60s]  * " + join(`generation!~"6|7"`)},
		{at(6, 7), earlier, "a[$window] $offset * $instances", "a[60s] offset 91s * " + join(`generation=~"6|7"`)},
		{at(), changed, "a * $new", "a * " + join(`ring=~"canary|early"`)},
		{at(), changed, "a[$soak] offset $before", "a[91s] offset 91s"},
		{At{Published: now.Add(-time.Second)}, changed, "a[$soak] offset $before", "a[60s] offset 1s"},
		{At{Published: now.Add(time.Hour)}, changed, "a[$soak] offset $before", "a[60s] offset 1s"},
		{at(), changed, `a{b=~"x$"} / $1`, `a{b=~"x$"} / $1`},
	} {
		x := &expander{file: f, at: tt.at, now: now}
		if d := cmp.Diff(tt.want, x.expand(tt.expr, tt.who)); d != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.expr, d)
		}
	}
}

// TestPreview: without a change, the rings stand for the new instances, and no command runs.
func TestPreview(t *testing.T) {
	f := parse(t, "gates: [{name: c, command: [/nonexistent]}, {name: g, expr: 'x * $new', max: 1}]")
	asked := ""
	source := script(func(expr string) ([]prometheus.Sample, error) {
		if strings.HasPrefix(expr, "x") {
			asked = expr
		}
		return nil, nil
	})
	e := NewJudge(f, source, nil).Preview(t.Context(), map[string]uint64{"canary": 3})
	if len(e.Results) != 1 || e.Results[0].Gate != "g" || !strings.Contains(asked, `{ring=~"canary"}`) {
		t.Errorf("%+v, asked %s", e.Results, asked)
	}
	if len(f.Gates) != 2 {
		t.Error("the file of gates has lost a gate")
	}
}

// TestBaselineAsks: before the first step each expression must have an answer, so that no change is published that
// cannot be judged. No data is an answer.
func TestBaselineAsks(t *testing.T) {
	f := parse(t, "gates: [{name: g, expr: 'x * $new', max: 1}]\ntraffic: [{name: requests, expr: t, min: 1}]")
	for fails, want := range map[string]string{
		"":  "",
		"x": "gate g, before the first step: connection refused",
		"t": "gate requests, before the first step: connection refused",
	} {
		source := script(func(expr string) ([]prometheus.Sample, error) {
			if fails != "" && strings.HasPrefix(expr, fails) {
				return nil, errAway
			}
			return nil, nil
		})
		got := ""
		if _, err := NewJudge(f, source, nil).Baseline(t.Context(), step()); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// hanging is a Prometheus that never answers.
type hanging struct{}

func (hanging) Query(ctx context.Context, _ string, _ time.Time) ([]prometheus.Sample, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
