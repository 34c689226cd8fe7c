package schema

import "testing"

// TestLater: arguments that are newer than the published schema are served with those around them.
func TestLater(t *testing.T) {
	p, err := Load("google")
	if err != nil {
		t.Fatal(err)
	}
	service := p.Resources["google_cloud_run_v2_service"]
	containers := service.Blocks["template"].Block.Blocks["containers"].Block
	if _, has := service.Attributes["default_uri_disabled"]; !has || p.Version != "7.20.0" {
		t.Errorf("version %s without default_uri_disabled", p.Version)
	}
	if _, has := containers.Blocks["readiness_probe"]; !has || len(containers.Blocks) < 5 || len(containers.Attributes) == 0 {
		t.Errorf("containers has the blocks %v", containers.Blocks)
	}
}
