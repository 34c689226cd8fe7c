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
