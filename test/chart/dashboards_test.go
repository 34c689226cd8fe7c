package chart

import (
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/internal/dashboards"
)

// TestDashboards checks that Grafana's sidecar finds the dashboards, and only where somebody wants them.
func TestDashboards(t *testing.T) {
	files := dashboards.Files()
	for _, wanted := range []bool{true, false} {
		text, err := Template(t, filepath.Join("testdata", "values", "everything.yaml"), Values{"monitoring": Values{"dashboards": wanted}})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, o := range Objects(t, text) {
			if o.Text("metadata", "labels", "grafana_dashboard") != "1" {
				continue
			}
			found++
			data, _ := o["data"].(map[string]any)
			for key, value := range data {
				if want := files[strings.TrimPrefix(key, "oci-proxy-")]; o.Kind() != "ConfigMap" || want == nil || value != string(want) {
					t.Errorf("%s: %s is not as shipped", o, key)
				}
			}
		}
		if want := len(files); wanted && found != want || !wanted && found != 0 {
			t.Errorf("dashboards: %v gives %d ConfigMaps", wanted, found)
		}
	}
}

// TestMonthlyBudget checks that the values say what a month may cost, and that there is no budget by default.
func TestMonthlyBudget(t *testing.T) {
	for budget, want := range map[any]string{nil: "", 0: "", 2500: "vector(2500)", 1250.5: "vector(1250.5)"} {
		monitoring := Values{}
		if budget != nil {
			monitoring["monthlyBudget"] = budget
		}
		text, err := Template(t, filepath.Join("testdata", "values", "everything.yaml"), Values{"monitoring": monitoring})
		if err != nil {
			t.Fatal(err)
		}
		// The shipped rules use the record, and this one makes it.
		if has := strings.Contains(text, "record: ociproxy:budget_dollars:month"); has != (want != "") || !strings.Contains(text, want) {
			t.Errorf("%v: a budget: %v, want %q", budget, has, want)
		}
	}
	if _, err := Template(t, filepath.Join("testdata", "values", "everything.yaml"), Values{"monitoring": Values{"monthlyBudget": -1}}); err == nil {
		t.Error("a negative budget is accepted")
	}
}
