package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// canaryValues are values of a stable release that gives a canary a share.
func canaryValues(service string, weight int) Values {
	return Values{"exposure": Values{"gateway": Values{"canary": Values{"service": service, "weight": weight}}}}
}

// TestCanaryBehindAGateway: the route names the canary only while it gets a share. A route that leads to a Service that
// does not exist is not accepted by some gateways.
func TestCanaryBehindAGateway(t *testing.T) {
	gke := Examples(t)["gke"]
	for weight, want := range map[int][]any{
		0:   {Object{"name": "registry-oci-proxy", "port": 80}},
		5:   {Object{"name": "registry-oci-proxy", "port": 80, "weight": 95}, Object{"name": "registry-canary-oci-proxy", "port": 80, "weight": 5}},
		100: {Object{"name": "registry-oci-proxy", "port": 80, "weight": 0}, Object{"name": "registry-canary-oci-proxy", "port": 80, "weight": 100}},
	} {
		text, err := Template(t, gke, canaryValues("registry-canary-oci-proxy", weight))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range Objects(t, text) {
			if o.Kind() == "HTTPRoute" {
				if diff := cmp.Diff(any(want), Get(o, "spec", "rules", 0, "backendRefs")); diff != "" {
					t.Errorf("weight %d: backends (-want +got):\n%s", weight, diff)
				}
			}
		}
	}
	if _, err := Template(t, gke, canaryValues("", 5)); err == nil || !strings.Contains(err.Error(), "canary.service is empty") {
		t.Errorf("a weight without a Service: %v", err)
	}
}

// TestKubeRollout: a real API server accepts the objects of deploy/rollout by the kinds that Argo Rollouts and Flagger
// publish, and refuses unknown fields. It accepts both releases of a canary.
func TestKubeRollout(t *testing.T) {
	parts.Slow(t)
	parts.Find(t, "helm")
	c := cluster(t)
	c.Define(t, "argo-rollouts", "manifests/crds/analysis-template-crd.yaml", "manifests/crds/rollout-crd.yaml")
	c.Define(t, "flagger", "artifacts/flagger/crd.yaml")
	c.Namespace(t, Namespace)
	dir := filepath.Join(parts.Root(), "deploy", "rollout")
	var objects []Object
	for file, least := range map[string]int{"argo-rollouts.yaml": 2, "flagger.yaml": 6} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		found := Objects(t, string(text))
		if len(found) < least {
			t.Errorf("%s has %d objects", file, len(found))
		}
		objects = append(objects, found...)
	}
	for name, file := range map[string]string{"registry": Examples(t)["gke"], "registry-canary": filepath.Join(dir, "helm-canary.yaml")} {
		args := []string{"template", name, Dir(), "--namespace", Namespace, "--values", file}
		if name == "registry" {
			args = append(args, "--values", WriteValues(t, canaryValues("registry-canary-oci-proxy", 5)))
		}
		text, err := Helm(t, nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, Objects(t, text)...)
	}
	for _, o := range objects {
		if err := c.Create(o, Namespace, true); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	misspelt := objects[0]
	asObject(misspelt["spec"])["metrix"] = "no such field"
	if err := c.Create(misspelt, Namespace, true); err == nil {
		t.Error("the server accepts a field that the kind does not have")
	}
}
