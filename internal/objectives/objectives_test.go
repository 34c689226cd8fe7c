package objectives

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/metrics"
	"ociproxy/internal/mirror"
	"ociproxy/internal/oci"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/monitor"
)

var update = flag.Bool("update", false, "write the files of deploy/prometheus")

// TestFilesAreCurrent: the files in the repository are those that the objectives make.
func TestFilesAreCurrent(t *testing.T) {
	for name, want := range Files() {
		file := filepath.Join("..", "..", "deploy", "prometheus", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is old: go generate ./internal/objectives (-want +got)\n%s", name, diff)
		}
	}
}

// TestNames: the rules are made of metrics that the programs have, and of no others.
func TestNames(t *testing.T) {
	known := map[string]bool{}
	add := func(d *prometheus.Desc) {
		if m := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String()); m != nil {
			known[m[1]] = true
		}
	}
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		metrics.New("test").Registry.Describe(ch)
	}()
	for d := range ch {
		add(d)
	}
	for _, d := range append(mirror.Metrics(), monitor.Metrics()...) {
		add(d)
	}
	listed := map[string]bool{}
	for _, name := range names {
		listed[name] = true
		if !known[name] {
			t.Errorf("no program has the metric %s", name)
		}
	}
	for file, text := range Files() {
		for _, name := range regexp.MustCompile(`\bociproxy_\w+`).FindAllString(text, -1) {
			if name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, ""); !listed[name] {
				t.Errorf("%s names %s, which is not defined here", file, name)
			}
		}
	}
}

// TestValues: what the rules select exists. A rule that selects nothing has no data, and its alert never fires.
func TestValues(t *testing.T) {
	text := ""
	for _, one := range Files() {
		text += one
	}
	var checks []string
	for _, c := range probe.Checks() {
		checks = append(checks, c.ID)
	}
	known := map[string][]string{
		"as": {probe.Self.Name}, "result": {string(judge.Failed)}, "check": checks, "le": buckets(t), "code": {"5.."},
	}
	for _, k := range oci.Kinds() {
		known["kind"] = append(known["kind"], k.String())
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(\w+)=~?"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
		for value := range strings.SplitSeq(m[2], "|") {
			if !slices.Contains(known[m[1]], value) {
				t.Errorf("nothing has the label %s with the value %q", m[1], value)
			}
		}
	}
	if len(found) != len(known) {
		t.Errorf("rules select by %d labels, want %d", len(found), len(known))
	}
}

// buckets returns the bounds of the decisions' histogram.
func buckets(t *testing.T) (bounds []string) {
	t.Helper()
	families, err := metrics.New("test").Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == decisions {
			for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
				bounds = append(bounds, strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
			}
		}
	}
	return bounds
}
