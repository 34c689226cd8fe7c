package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"ociproxy/internal/metrics"
	"ociproxy/internal/mirror"
	"ociproxy/internal/probe/monitor"
	"ociproxy/internal/probe/status"
	"ociproxy/internal/promote/prove"
)

// TestLabels: a query groups by labels that its metric has, and its legend names only labels that are left. Prometheus
// answers a wrong label with one series without it, so that the test against a real Prometheus does not notice.
func TestLabels(t *testing.T) {
	labels := map[string][]string{}
	for _, d := range descs() {
		if m := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String()); m != nil {
			labels[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	by := regexp.MustCompile(`\bby \(([^)]*)\)`)
	metric := regexp.MustCompile(`\bociproxy_\w+`)
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	checked := 0
	for _, d := range all() {
		for _, r := range d.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					var grouped []string
					for _, m := range by.FindAllStringSubmatch(q.expr, -1) {
						grouped = append(grouped, strings.Split(m[1], ", ")...)
					}
					for _, name := range metric.FindAllString(q.expr, -1) {
						bucket := strings.HasSuffix(name, "_bucket")
						has, ok := labels[strings.TrimSuffix(name, "_bucket")]
						if !ok {
							t.Errorf("%s/%s: the labels of %s are not known", d.uid, p.title, name)
						}
						for _, l := range grouped {
							checked++
							if !slices.Contains(has, l) && (!bucket || l != "le") {
								t.Errorf("%s/%s groups by %s, which %s lacks: it has %q", d.uid, p.title, l, name, has)
							}
						}
					}
					for _, m := range legend.FindAllStringSubmatch(q.name, -1) {
						if len(grouped) > 0 && !slices.Contains(grouped, m[1]) {
							t.Errorf("%s/%s: the legend has %s, the query groups by %q", d.uid, p.title, m[1], grouped)
						}
					}
				}
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d labels were checked", checked)
	}
}

// TestNone: a time that is 0 while there is none is not shown as a time 50 years ago.
func TestNone(t *testing.T) {
	age := regexp.MustCompile(`time\(\) - \(\w+_timestamp_seconds > 0\)`)
	seen := 0
	for panel, expressions := range Expressions() {
		for _, expr := range expressions {
			if !strings.Contains(expr, "_timestamp_seconds") {
				continue
			}
			seen++
			if !age.MatchString(expr) {
				t.Errorf("%s: %s", panel, expr)
			}
		}
	}
	if seen == 0 {
		t.Error("no panel shows the age of anything")
	}
}

// TestAlertsAreOurs: a Prometheus that others use too has alerts of theirs.
func TestAlertsAreOurs(t *testing.T) {
	ours := regexp.MustCompile(`alertname=~"([^"]*)"`)
	seen := 0
	for panel, expressions := range Expressions() {
		for _, expr := range expressions {
			if !strings.Contains(expr, "ALERTS") {
				continue
			}
			seen++
			m := ours.FindStringSubmatch(expr)
			if m == nil {
				t.Errorf("%s counts the alerts of everybody: %s", panel, expr)
				continue
			}
			for alert, text := range recorded(t, `(?m)- alert: (\S+)$`) {
				if !regexp.MustCompile("^(?:" + m[1] + ")$").MatchString(alert) {
					t.Errorf("%s leaves out %s of %s", panel, alert, text)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no panel shows alerts")
	}
}

// TestBurns: burn rates are what the alerts compare with 14.4 times the budget.
func TestBurns(t *testing.T) {
	file := filepath.Join("..", "..", "deploy", "prometheus", "objectives.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+:\w+:ratio_rate)\w+ > [\d.]+ \* ([\d.]+)`).FindAllStringSubmatch(string(text), -1) {
		if old := want[m[1]]; old != "" && old != m[2] {
			t.Errorf("%s has the budgets %s and %s", m[1], old, m[2])
		}
		want[m[1]] = m[2]
	}
	got := map[string]string{}
	for _, q := range burns() {
		m := regexp.MustCompile(`(\w+:\w+:ratio_rate)1h\)? / ([\d.]+)$`).FindStringSubmatch(q.expr)
		if m == nil {
			t.Errorf("%s is no burn rate over an hour", q.expr)
			continue
		}
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-alerts +dashboard\n%s", diff)
	}
}

// descs are the metrics of the programs.
func descs() []*prometheus.Desc {
	out := slices.Concat(mirror.Metrics(), monitor.Metrics(), prove.Metrics(), status.Metrics())
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		metrics.New("test").Registry.Describe(ch)
	}()
	for d := range ch {
		out = append(out, d)
	}
	return out
}

// recorded returns what the pattern's group finds in the rules of deploy/prometheus, and in which file.
func recorded(t *testing.T, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "prometheus", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, ".test.yaml") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			out[m[1]] = file
		}
	}
	if len(out) == 0 {
		t.Fatalf("nothing matches %s", pattern)
	}
	return out
}
