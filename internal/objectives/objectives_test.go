package objectives

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/metrics"
	"ociproxy/internal/mirror"
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
