package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	yaml "go.yaml.in/yaml/v4"
)

// alertFiles are the files with alerts. Each has a file NAME.test.yaml beside it; each.test.yaml has the rest.
var alertFiles = []string{
	"deploy/prometheus/alerts.yaml", "deploy/prometheus/probe.yaml",
	"deploy/prometheus/objectives.yaml", "deploy/prometheus/cost.yaml", "deploy/prometheus/budget.yaml",
}

// rules are what a file of rules has.
type rules struct {
	Groups []struct {
		Rules []struct {
			Record      string            `yaml:"record"`
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func rulesOf(t *testing.T, name string) (file rules) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAlerts: each alert says how bad it is and what it is about, and leads to a section of the runbook that names it.
// No section names another.
func TestAlerts(t *testing.T) {
	var file rules
	for _, name := range alertFiles {
		file.Groups = append(file.Groups, rulesOf(t, name).Groups...)
	}
	linked := map[string][]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				continue
			}
			if rule.Alert == "" || rule.Expr == "" || rule.Annotations["summary"] == "" {
				t.Errorf("alert %q: alert, expr and annotations.summary are required", rule.Alert)
			}
			if s := rule.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
			linked[rule.Annotations["runbook"]] = append(linked[rule.Annotations["runbook"]], rule.Alert)
		}
	}
	if len(linked) < 20 {
		t.Errorf("alerts lead to %d sections only", len(linked))
	}
	named := map[string][]string{}
	for _, page := range []string{"docs/runbook.md", "docs/runbook-config.md", "docs/runbook-mirror.md", "docs/runbook-probe.md", "docs/runbook-objectives.md"} {
		for anchor, text := range sections(read(t, page)) {
			line := regexp.MustCompile(`(?m)^Alerts?: (.*)\.$`).FindString(text)
			if alerts := regexp.MustCompile(`OCI\w+`).FindAllString(line, -1); alerts != nil {
				named[page+"#"+anchor] = alerts
			}
		}
	}
	inAnyOrder := cmpopts.SortSlices(strings.Compare)
	if diff := cmp.Diff(linked, named, inAnyOrder); diff != "" {
		t.Errorf("sections that alerts lead to, and the alerts that sections name (-alerts +runbook):\n%s", diff)
	}
}

// TestFewPages: at most five alerts of all files wake somebody, and docs/objectives.md says what each costs to ignore.
func TestFewPages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "deploy", "prometheus", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var pages, all []string
	for _, file := range files {
		if strings.HasSuffix(file, ".test.yaml") {
			continue
		}
		name := "deploy/prometheus/" + filepath.Base(file)
		all = append(all, name)
		for _, group := range rulesOf(t, name).Groups {
			for _, rule := range group.Rules {
				if rule.Labels["severity"] == "page" {
					pages = append(pages, rule.Alert)
				}
			}
		}
	}
	if diff := cmp.Diff(alertFiles, all, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("files that the tests know, and those in deploy/prometheus (-known +there):\n%s", diff)
	}
	if len(pages) > 5 {
		t.Errorf("%d alerts are pages, want at most 5", len(pages))
	}
	_, table, _ := strings.Cut(read(t, "docs/objectives.md"), "\n| Alert |")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(OCI\\w+)` \\|").FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	if diff := cmp.Diff(pages, listed, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("alerts that are pages, and those that docs/objectives.md lists (-pages +listed):\n%s", diff)
	}
}

// TestAlertsSeeTheFuture: an age below zero is a clock that is wrong or somebody's lie, and never as good as a fresh one.
func TestAlertsSeeTheFuture(t *testing.T) {
	age := regexp.MustCompile(`(\w+_age_seconds|time\(\) - \w+) >`)
	found := 0
	text := ""
	for _, name := range alertFiles {
		text += read(t, name)
	}
	for line := range strings.Lines(text) {
		for _, m := range age.FindAllStringSubmatch(line, -1) {
			if found++; !strings.Contains(line, m[1]+" < -") && !strings.Contains(line, m[1]+" < bool -") {
				t.Errorf("no bound below zero: %s", strings.TrimSpace(line))
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d ages found", found)
	}
}

// TestAlertsAreRules asks Prometheus's own tool, where there is one, whether they are rules, and has it let time go by: when do
// they fire, and when do they end? Each alert must fire in one test and be silent in another.
func TestAlertsAreRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("OCIPROXY_REQUIRE_PARTS") != "" {
			t.Fatal("promtool is not installed")
		}
		t.Skip("promtool is not installed")
	}
	tests := []string{"deploy/prometheus/each.test.yaml"}
	for _, name := range alertFiles {
		tests = append(tests, strings.TrimSuffix(name, ".yaml")+".test.yaml")
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", filepath.Join(root, name)).CombinedOutput(); err != nil {
			t.Errorf("promtool check rules %s: %v\n%s", name, err, out)
		}
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, name := range tests {
		tried(t, read(t, name), fires, silent)
		if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join(root, name)).CombinedOutput(); err != nil {
			t.Errorf("promtool test rules %s: %v\n%s", name, err, out)
		}
	}
	for _, name := range alertFiles {
		for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, name), -1) {
			if !fires[m[1]] || !silent[m[1]] {
				t.Errorf("%s: a test must make it fire (%v) and another leave it silent (%v)", m[1], fires[m[1]], silent[m[1]])
			}
		}
	}
}

// tried adds the alerts that a file of tests expects to fire, and those that it expects to be silent.
func tried(t *testing.T, text string, fires, silent map[string]bool) {
	t.Helper()
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name   string `yaml:"alertname"`
				Expect []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			if len(a.Expect) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
}
