package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

const alertsFile = "deploy/prometheus/alerts.yaml"

// TestAlerts: each alert says how bad it is and what it is about, and leads to a section of the runbook.
func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, alertsFile)), &file); err != nil {
		t.Fatal(err)
	}
	_, runbook, _ := strings.Cut(read(t, "docs/operations.md"), "\n# Runbook\n")
	sections := anchors(runbook)
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Expr == "" || rule.Annotations["summary"] == "" {
				t.Errorf("alert %q: alert, expr and annotations.summary are required", rule.Alert)
			}
			if s := rule.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
			file, section, _ := strings.Cut(rule.Annotations["runbook"], "#")
			if file != "docs/operations.md" || !sections[section] {
				t.Errorf("%s: runbook %q is no section of the runbook", rule.Alert, rule.Annotations["runbook"])
			}
		}
	}
	if len(file.Groups) == 0 {
		t.Error("no groups")
	}
}

// TestAlertsSeeTheFuture: an age below zero is a clock that is wrong or somebody's lie, and never as good as a fresh one.
func TestAlertsSeeTheFuture(t *testing.T) {
	age := regexp.MustCompile(`(\w+_age_seconds|time\(\) - \w+) >`)
	found := 0
	for line := range strings.Lines(read(t, alertsFile)) {
		for _, m := range age.FindAllStringSubmatch(line, -1) {
			if found++; !strings.Contains(line, m[1]+" < -") {
				t.Errorf("no bound below zero: %s", strings.TrimSpace(line))
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d ages found", found)
	}
}

// TestAlertsAreRules asks Prometheus's own tool, where there is one, whether they are rules, and has it let time go by: when do
// they fire, and when do they end?
func TestAlertsAreRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("OCIPROXY_REQUIRE_PARTS") != "" {
			t.Fatal("promtool is not installed")
		}
		t.Skip("promtool is not installed")
	}
	for _, args := range [][]string{
		{"check", "rules", filepath.Join(root, alertsFile)},
		{"test", "rules", filepath.Join(root, "deploy/prometheus/alerts.test.yaml")},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
