package docs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// canaryGate is one gate of deploy/rollout, with its variables filled in.
type canaryGate struct {
	name, expr, max string
}

// canaryGates reads the gates of a file for Argo Rollouts or Flagger, for the pods of newPod and stablePod.
func canaryGates(t *testing.T, file string) (gates []canaryGate) {
	t.Helper()
	fill := strings.NewReplacer("{{args.new}}", "new", "{{args.stable}}", "stable", "{{ target }}", "registry", "{{ namespace }}", "images", "{{ interval }}", "5m")
	type object struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct {
			Query   string
			Metrics []struct {
				Name     string
				Success  string `yaml:"successCondition"`
				Failure  string `yaml:"failureCondition"`
				Provider struct{ Prometheus struct{ Query string } }
			}
			Analysis struct {
				Metrics []struct {
					Name           string
					ThresholdRange struct{ Max string } `yaml:"thresholdRange"`
				}
			}
		}
	}
	max, exprs := map[string]string{}, map[string]string{}
	var order []string
	dec := yaml.NewDecoder(bytes.NewReader([]byte(read(t, file))))
	for {
		var o object
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, m := range o.Spec.Metrics {
			order = append(order, m.Name)
			exprs[m.Name] = m.Provider.Prometheus.Query
			_, max[m.Name], _ = strings.Cut(m.Success, "<= ")
			if want := "len(result) > 0 && result[0] > " + max[m.Name]; m.Failure != want {
				t.Errorf("%s: %s: failureCondition %q, want %q", file, m.Name, m.Failure, want)
			}
		}
		if o.Kind == "MetricTemplate" {
			order = append(order, o.Metadata.Name)
			exprs[o.Metadata.Name] = o.Spec.Query
		}
		for _, m := range o.Spec.Analysis.Metrics {
			max[m.Name] = m.ThresholdRange.Max
		}
	}
	for _, name := range order {
		if exprs[name] == "" || max[name] == "" {
			t.Errorf("%s: %s has no query or no bound", file, name)
		}
		gates = append(gates, canaryGate{name, fill.Replace(exprs[name]), max[name]})
	}
	return gates
}

// TestGatesOfCanaries has Prometheus evaluate each gate of Argo Rollouts and Flagger: over pods that serve alike, over new
// pods with one fault, and over new pods without traffic.
func TestGatesOfCanaries(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("OCIPROXY_REQUIRE_PARTS") != "" {
			t.Fatal("promtool is not installed")
		}
		t.Skip("promtool is not installed")
	}
	pods := map[string][2]string{
		"deploy/rollout/argo-rollouts.yaml": {"registry-new-a", "registry-stable-a"},
		"deploy/rollout/flagger.yaml":       {"registry-new-a", "registry-primary-stable-a"},
	}
	bad := map[string]map[string]string{ // by gate, what the new pods have in place of what is right
		"failed-requests":    {`ociproxy_requests_total{kind="blob",code="500"`: "0+1x100"},
		"repeated-downloads": {`ociproxy_retries_total{candidate="s3"`: "0+5x100"},
		"candidates-out":     {`ociproxy_candidate_usable{candidate="s3"`: "0x100"},
		"cost":               {`ociproxy_estimated_cost_dollars_total{candidate="s3"`: "0+2x100"},
		"decision-time":      {`ociproxy_decision_seconds_bucket{le="0.1"`: "0+10x100"},
	}
	good := map[string]string{
		`ociproxy_requests_total{kind="blob",code="307"`:       "0+100x100",
		`ociproxy_requests_total{kind="blob",code="500"`:       "0x100",
		`ociproxy_redirects_total{candidate="s3"`:              "0+100x100",
		`ociproxy_retries_total{candidate="s3"`:                "0x100",
		`ociproxy_candidate_usable{candidate="s3"`:             "1x100",
		`ociproxy_candidate_usable{candidate="main"`:           "1x100",
		`ociproxy_ready{job="oci-proxy"`:                       "1x100",
		`ociproxy_estimated_cost_dollars_total{candidate="s3"`: "0+1x100",
		`ociproxy_redirected_bytes_total{candidate="s3"`:       "0+1000000000x100",
		`ociproxy_decision_seconds_bucket{le="0.1"`:            "0+100x100",
		`ociproxy_decision_seconds_bucket{le="1"`:              "0+100x100",
		`ociproxy_decision_seconds_bucket{le="+Inf"`:           "0+100x100",
	}
	for file, pod := range pods {
		gates := canaryGates(t, file)
		if len(gates) != len(bad) {
			t.Errorf("%s has %d gates, want %d", file, len(gates), len(bad))
		}
		var tests []any
		add := func(name string, spoil map[string]string, traffic bool, expect func(g canaryGate) (known, exceeds bool)) {
			var series []any
			for i, p := range pod {
				for metric, values := range good {
					if v := spoil[metric]; v != "" && i == 0 {
						values = v
					}
					if !traffic && i == 0 && !strings.Contains(metric, "usable") && !strings.Contains(metric, "ready") {
						values = "0x100"
					}
					series = append(series, map[string]any{"series": fmt.Sprintf("%s,namespace=\"images\",pod=%q}", metric, p), "values": values})
				}
			}
			var asked []any
			for _, g := range gates {
				known, exceeds := expect(g)
				for expr, want := range map[string]bool{"count(" + g.expr + ")": known, "count((" + g.expr + ") > " + g.max + ")": exceeds} {
					samples := []any{}
					if want {
						samples = append(samples, map[string]any{"labels": "{}", "value": 1})
					}
					asked = append(asked, map[string]any{"expr": expr, "eval_time": "15m", "exp_samples": samples})
				}
			}
			tests = append(tests, map[string]any{"name": name, "interval": "15s", "input_series": series, "promql_expr_test": asked})
		}
		add("alike", nil, true, func(canaryGate) (bool, bool) { return true, false })
		for name, spoil := range bad {
			add(name, spoil, true, func(g canaryGate) (bool, bool) { return true, g.name == name })
		}
		add("no traffic", nil, false, func(g canaryGate) (bool, bool) { return g.name == "candidates-out", false })
		text, err := yaml.Marshal(map[string]any{"tests": tests})
		if err != nil {
			t.Fatal(err)
		}
		rules := filepath.Join(t.TempDir(), "gates.test.yaml")
		if err := os.WriteFile(rules, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", rules).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// TestGatesOfCanariesAreThoseOfRollouts: they have the bounds of deploy/rollout/gates.yaml.
func TestGatesOfCanariesAreThoseOfRollouts(t *testing.T) {
	const gatesFile = "deploy/rollout/gates.yaml"
	var file struct {
		Gates []struct{ Name, Factor, Plus, Max string }
	}
	if err := yaml.Unmarshal([]byte(read(t, gatesFile)), &file); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"5xx": "failed-requests", "retries": "repeated-downloads", "candidates unusable": "candidates-out",
		"cost per GB": "cost", "p99 decision": "decision-time"}
	for _, canary := range []string{"deploy/rollout/argo-rollouts.yaml", "deploy/rollout/flagger.yaml"} {
		found := 0
		for _, g := range canaryGates(t, canary) {
			for _, rolled := range file.Gates {
				if names[rolled.Name] != g.name {
					continue
				}
				found++
				if bound := rolled.Plus + rolled.Max; g.max != bound {
					t.Errorf("%s: %s has the bound %s, that of %s is %s", canary, g.name, g.max, gatesFile, bound)
				}
				if rolled.Factor != "" && !strings.Contains(g.expr, "- "+rolled.Factor) {
					t.Errorf("%s: %s does not subtract %s times what the stable pods have", canary, g.name, rolled.Factor)
				}
			}
		}
		if found != len(names) {
			t.Errorf("%s has %d of the %d gates of %s", canary, found, len(names), gatesFile)
		}
	}
}
