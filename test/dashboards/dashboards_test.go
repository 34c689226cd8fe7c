// Package dashboards asks a real Prometheus every question of the dashboards, while everything runs that they show: the
// demo's proxy, a mirror, a promoter that verifies, a probe.
package dashboards

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"ociproxy/internal/dashboards"
	"ociproxy/test/ctl"
	"ociproxy/test/demo"
	"ociproxy/test/parts"
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// TestFilesAreGrafanas decodes the dashboards strictly, with the types that Grafana publishes.
func TestFilesAreGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for name, text := range dashboards.Files() {
		var d dashboard.Dashboard                                                //nolint:staticcheck // the older form, which every Grafana imports
		if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" { // the error of no errors is not nil
			t.Errorf("%s: %v", name, err)
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSlowDashboards: every expression of every dashboard has data.
func TestSlowDashboards(t *testing.T) {
	parts.Slow(t)
	d := demo.Start(t)
	targets := []prometheus.Target{{Addr: strings.TrimPrefix(d.Admin, "http://")}}
	loop := func(job string, args ...string) {
		listen := parts.FreeAddr(t)
		parts.Start(t, parts.Spec{Path: ctl.Binary(t), Args: append(args, "--listen", listen), Env: shop.Environment})
		targets = append(targets, prometheus.Target{Addr: listen, Job: job})
	}
	config, tree := fleet(t)
	loop("mirror", "mirror", "--config", config, "--every", "1s")
	loop("promoter", "promote", "verify", tree, "--watch", "1s", "--rate", "5000")
	name, image, _ := strings.Cut(d.Image, "/")
	loop("probe", "probe", name, "--image", image, "--endpoints", "none", "--vantage", "oslo", "--every", "1s", "--max-rate", "10000", "--max-bytes-per-day", "100GiB")
	again(t, d)

	rules, err := filepath.Glob(filepath.Join(parts.Root(), "deploy", "prometheus", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules = slices.DeleteFunc(rules, func(file string) bool { return strings.HasSuffix(file, ".test.yaml") })
	rules = append(rules, write(t, "groups: [{name: mine, rules: [{record: 'ociproxy:budget_dollars:month', expr: vector(1000)}]}]\n"))
	s := prometheus.StartWith(t, prometheus.Options{Every: time.Second, Rules: rules, History: history()}, targets...)
	missing := map[string]string{}
	for panel, all := range dashboards.Expressions() {
		for _, expr := range all {
			missing[expr] = panel
		}
	}
	if len(missing) < 50 {
		t.Errorf("only %d expressions", len(missing))
	}
	n := len(missing)
	start := time.Now()
	parts.Poll(t, 2*time.Minute, "data for all expressions", func() error {
		var lacks []string
		for expr, panel := range missing {
			// Grafana puts in at least four times the time between two scrapes.
			got, err := s.Query(strings.ReplaceAll(expr, "$__rate_interval", "20s"))
			if err == nil && slices.ContainsFunc(got, func(one prometheus.Sample) bool { return !math.IsNaN(one.Value) }) {
				delete(missing, expr)
				continue
			}
			lacks = append(lacks, fmt.Sprintf("%s: %s: %v", panel, expr, err))
		}
		if len(lacks) > 0 {
			slices.Sort(lacks)
			return fmt.Errorf("%d of %d lack data:\n%s", len(lacks), n, strings.Join(lacks, "\n"))
		}
		return nil
	})
	t.Logf("%d expressions have data, %.0f s after Prometheus started", n, time.Since(start).Seconds())
}

// fleet starts a registry with an image that is in production, and a bucket. It returns a config for a mirror and a
// manifest for a promoter.
func fleet(t *testing.T) (config, manifest string) {
	t.Helper()
	r := registry.Start(t)
	src := source.New(r.Addr, "staging/")
	d, err := src.Image("app", "1.0", 1, false, source.NewBlob(1, 5<<10, "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	manifest = write(t, fmt.Sprintf("registries:\n- {name: %[1]s/staging, src: true}\n- {name: %[1]s/prod}\nimages:\n- name: app\n  dmap: {%q: [\"1.0\"]}\n", r.Addr, d.Digest))
	if ran := ctl.Run(t, ctl.Limit, nil, "promote", "run", manifest, "--confirm", "--progress", "none"); ran.Code != 0 {
		t.Fatal(ran)
	}
	c := proxy.Config{
		"location":  "gcp/us-central1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": r.URL, "prefix": "prod", "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    shop.Configs(shop.StartS3(t, "us-east-1").Shops(t)),
		"mirror":    proxy.Map{"source": "us", "repositories": proxy.Map{"include": proxy.List{"/.*/"}}, "spool": proxy.Map{"dir": t.TempDir()}, "requestsPerSecond": 5000},
	}.Defaults(t)
	config = filepath.Join(t.TempDir(), "config.yaml")
	c.Write(t, config)
	return config, manifest
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// again asks twice for a layer from one address, as a client whose download failed.
func again(t *testing.T, d *demo.Demo) {
	t.Helper()
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.Proxy+d.Layer, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.7")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

// history is what nine days cost, by the hour. Days and months need it.
func history() string {
	var out strings.Builder
	out.WriteString("# TYPE ociproxy:cost_dollars:rate5m gauge\n")
	now := time.Now().UTC().Truncate(time.Hour)
	for at := now.Add(-9 * 24 * time.Hour); at.Before(now.Add(-2 * time.Hour)); at = at.Add(time.Hour) {
		fmt.Fprintf(&out, "ociproxy:cost_dollars:rate5m 0.001 %d\n", at.Unix())
	}
	return out.String()
}
