package onesource

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/chart"
	"ociproxy/test/ctl"
	"ociproxy/test/infra"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestMain: the programs and the providers' stub are built once.
func TestMain(m *testing.M) { parts.Together(m, 2) }

// seen is what one of the three makes of a config.
type seen struct {
	Buckets []string // sorted
	Names   []string // hosts of the registry, sorted
	Behind  string
	Port    int
}

var update = flag.Bool("update", false, "write the files that are made from the configs of the examples")

// TestExported: the variables and the edge rules of the examples are those of their configs, and the function of the module
// cdn-cloudfront is the one of this version. With -update they are written.
func TestExported(t *testing.T) {
	for _, name := range []string{"production", "sandbox"} {
		dir := filepath.Join(infra.Dir(), "examples", name)
		if *update {
			export(t, dir)
		}
		ran := ctl.Run(t, ctl.Limit, nil, "infra", "export", "--config", filepath.Join(dir, "config.yaml"), "--out", filepath.Join(dir, "stores.auto.tfvars.json"), "--check")
		if ran.Code != 0 {
			t.Errorf("write it again with oci-proxyctl infra export: %v", ran)
		}
		routes(t, filepath.Join(dir, "edge_rules.json"), "--config", filepath.Join(dir, "config.yaml"), "--format", "cloud-armor")
	}
	routes(t, filepath.Join(infra.Dir(), "cdn-cloudfront", "allow.js"), "--config", "", "--for", "store", "--format", "cloudfront")
}

// routes requires that a file has what oci-proxy routes prints, within the limits of the front.
func routes(t *testing.T, file string, args ...string) {
	t.Helper()
	want := parts.Run(t, ctl.Limit, proxy.Binary(t), append([]string{"routes"}, args...)...)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // it is part of the repository
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s: write it again with `go test ./onesource -run TestExported -update` (-routes +file)\n%s", file, diff)
	}
	parts.Run(t, ctl.Limit, proxy.Binary(t), "routes", "--config", "", "--format", args[len(args)-1], "--check", file)
}

// TestInfraOneSource: the servers, the chart and the modules agree about the example's config, and about what is left of it
// after a change.
func TestInfraOneSource(t *testing.T) {
	parts.Slow(t)
	dir := filepath.Join(infra.Copy(t), "examples", "production")
	file := filepath.Join(dir, "config.yaml")
	infra.Init(t, dir)
	before := agree(t, dir)
	if len(before.Buckets) != 5 || before.Behind != "google-lb" || !slices.Equal(before.Names, []string{"registry.example.org"}) || before.Port != 8080 {
		t.Errorf("the example has changed: %+v", before)
	}

	// One more name, another port, and one store less.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "hosts: [registry.example.org]", "hosts: [registry.example.org, images.example.org]", 1)
	changed = strings.Replace(changed, "version: 1\n", "version: 1\nlisten: \":9443\"\n", 1)
	from, to := strings.Index(changed, "  - name: az-we"), strings.Index(changed, "  - name: r2")
	if err := os.WriteFile(file, []byte(changed[:from]+changed[to:]), 0o600); err != nil {
		t.Fatal(err)
	}
	want := seen{
		Buckets: slices.DeleteFunc(slices.Clone(before.Buckets), func(b string) bool { return b == "exampleprodwe/layers" }),
		Names:   []string{"images.example.org", "registry.example.org"}, Behind: "google-lb", Port: 9443,
	}
	if diff := cmp.Diff(want, agree(t, dir)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// The module makes a load balancer of Google, and a config that expects another front is refused.
	if err := os.WriteFile(file, []byte(strings.Replace(changed, "behind: google-lb", "behind: cloudfront", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	export(t, dir)
	if _, err := infra.Plan(t, dir); err == nil || !strings.Contains(err.Error(), "behind") {
		t.Errorf("a front that the config does not expect: %v", err)
	}
}

// agree requires that the three make the same of the config in dir, and returns it.
func agree(t *testing.T, dir string) seen {
	t.Helper()
	server := ofServer(t, filepath.Join(dir, "config.yaml"))
	ofChart := ofChart(t, filepath.Join(dir, "config.yaml"))
	ofChart.Port = server.Port
	if diff := cmp.Diff(server, ofChart); diff != "" {
		t.Errorf("the chart (-server +chart)\n%s", diff)
	}
	export(t, dir)
	if diff := cmp.Diff(server, ofModules(t, dir)); diff != "" {
		t.Errorf("the modules (-server +modules)\n%s", diff)
	}
	return server
}

func export(t *testing.T, dir string) {
	t.Helper()
	if ran := ctl.Run(t, ctl.Limit, nil, "infra", "export", "--config", filepath.Join(dir, "config.yaml"), "--out", filepath.Join(dir, "stores.auto.tfvars.json")); ran.Code != 0 {
		t.Fatal(ran)
	}
}

// ofServer is what the server reads.
func ofServer(t *testing.T, file string) seen {
	t.Helper()
	out := parts.Run(t, ctl.Limit, proxy.Binary(t), "check", file, "--no-files", "--print")
	var c struct {
		Listen string
		Client struct{ Behind any }
		Names  []struct{ Hosts []string }
		Stores []struct{ Bucket string }
	}
	if err := yaml.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	s := seen{}
	_, port, _ := strings.Cut(c.Listen, ":")
	if err := json.Unmarshal([]byte(port), &s.Port); err != nil {
		t.Fatalf("listen %q: %v", c.Listen, err)
	}
	switch behind := c.Client.Behind.(type) {
	case string:
		s.Behind = behind
	case map[string]any:
		s.Behind, _ = behind["preset"].(string)
	}
	for _, n := range c.Names {
		s.Names = append(s.Names, n.Hosts...)
	}
	for _, st := range c.Stores {
		_, bucket, _ := strings.Cut(st.Bucket, "://")
		bucket, _, _ = strings.Cut(bucket, "?")
		s.Buckets = append(s.Buckets, bucket)
	}
	slices.Sort(s.Names)
	slices.Sort(s.Buckets)
	return s
}

// ofChart is what the server reads in the config map of the chart. The chart sets the ports itself,
// and refuses a config whose client.behind differs from what stands in front of its Service.
func ofChart(t *testing.T, file string) seen {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	delete(config, "admin") // the chart's own
	delete(config, "listen")
	out, err := chart.Template(t, "", chart.Values{"config": config, "exposure": chart.Values{"behind": chart.Values{"preset": ofServer(t, file).Behind}}, "image": chart.Values{"repository": "registry.example.org/oci-proxy"}, "tools": chart.Values{"repository": "registry.example.org/oci-proxyctl"}})
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	for _, o := range chart.Objects(t, out) {
		if text := o.Text("data", "config.yaml"); o.Kind() == "ConfigMap" && text != "" {
			rendered := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(rendered, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s = ofServer(t, rendered)
		}
	}
	return s
}

// ofModules is what the plan of the example would make.
func ofModules(t *testing.T, dir string) seen {
	t.Helper()
	file, err := infra.Plan(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var plan struct {
		Variables map[string]struct{ Value json.RawMessage }
		Planned   struct {
			Root planned `json:"root_module"`
		} `json:"planned_values"`
	}
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	var s seen
	plan.Planned.Root.collect(&s)
	var front struct{ Behind string }
	if err := json.Unmarshal(plan.Variables["front"].Value, &front); err != nil {
		t.Fatal(err)
	}
	s.Behind = front.Behind
	slices.Sort(s.Buckets)
	slices.Sort(s.Names)
	s.Names = slices.Compact(s.Names)
	return s
}

// planned is a module in a plan.
type planned struct {
	Resources []struct {
		Type, Name string
		Values     map[string]any
	}
	Children []planned `json:"child_modules"`
}

// collect finds the buckets of stores, the hosts of the load balancer and the port of its servers.
func (p *planned) collect(s *seen) {
	var account, container string // the example has one of each
	for _, r := range p.Resources {
		text := func(key string) string {
			v, _ := r.Values[key].(string)
			return v
		}
		switch r.Type + "." + r.Name {
		case "aws_s3_bucket.store":
			s.Buckets = append(s.Buckets, text("bucket"))
		case "google_storage_bucket.store", "cloudflare_r2_bucket.store":
			s.Buckets = append(s.Buckets, text("name"))
		case "azurerm_storage_container.store":
			container = text("name")
		case "azurerm_storage_account.store":
			account = text("name")
		case "google_certificate_manager_certificate_map_entry.host":
			s.Names = append(s.Names, text("hostname"))
		case "google_cloud_run_v2_service.server":
			port, _ := chart.Get(r.Values, "template", 0, "containers", 0, "ports", 0, "container_port").(float64)
			s.Port = int(port)
		}
	}
	if account != "" && container != "" { // the account's id, which the container has, is known after the apply only
		s.Buckets = append(s.Buckets, account+"/"+container)
	}
	for i := range p.Children {
		p.Children[i].collect(s)
	}
}
