package gates

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ociproxy/internal/gate"
	"ociproxy/internal/prometheus"
	front "ociproxy/test/gate"
	"ociproxy/test/parts"
)

// TestDefaultGates: every expression of deploy/rollout/gates.yaml has a verdict on a real Prometheus while clients pull:
// good, also when no request has ever failed, both beside instances without the change and without any. When a store is
// gone, the gate of candidates is bad.
func TestDefaultGates(t *testing.T) {
	w := newWorld(t)
	defer w.pull(t)()
	name := filepath.Join(parts.Root(), "deploy/rollout/gates.yaml")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gate.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	f.Window, f.Instances.Rings = 15*time.Second, nil
	f.Gates = slices.DeleteFunc(f.Gates, func(g gate.Gate) bool { return g.Expr == "" })
	client, err := prometheus.New(w.prometheus.URL, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	heads := w.site.State().Heads
	canary, all := heads["canary"].Generation, heads["all"].Generation
	judge := gate.NewJudge(f, client, nil)
	defer judge.Close()
	began := time.Now()
	for step, at := range map[string]func() gate.At{
		"beside others": func() gate.At {
			return gate.At{New: []uint64{canary}, Want: map[string]uint64{"canary": canary}, Published: began}
		},
		"the last step": func() gate.At {
			return gate.At{New: []uint64{canary, all}, Want: map[string]uint64{"canary": canary, "all": all}, Published: time.Now().Add(-5 * time.Second)}
		},
	} {
		parts.Poll(t, 2*time.Minute, step+": all gates are good", func() error {
			e := judge.Evaluate(t.Context(), at())
			if !e.Presence.OK || e.Traffic != "" {
				return fmt.Errorf("instances %+v, traffic %q", e.Presence, e.Traffic)
			}
			for _, r := range e.Results {
				if r.Verdict != gate.Good {
					return fmt.Errorf("%s: %s: %s", r.Gate, r.Verdict, r.Detail)
				}
			}
			t.Logf("%s: %+v", step, e.Results)
			return nil
		})
	}
	w.before.Spoil(func(*http.Request) (front.Fault, bool) {
		return front.Fault{Status: http.StatusServiceUnavailable, After: -1}, true
	})
	parts.Poll(t, 2*time.Minute, "a candidate is out of service", func() error {
		e := judge.Evaluate(t.Context(), gate.At{New: []uint64{canary}, Want: map[string]uint64{"canary": canary}, Published: began})
		i := slices.IndexFunc(e.Results, func(r gate.Result) bool { return r.Gate == "candidates unusable" })
		if r := e.Results[i]; r.Verdict != gate.Bad {
			return fmt.Errorf("%s: %s", r.Verdict, r.Detail)
		}
		return nil
	})
}
