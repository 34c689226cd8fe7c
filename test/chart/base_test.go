package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/kube"
	"ociproxy/test/parts"
)

// baseDir is the base for kustomize. baseRelease is the name and the namespace in it.
var baseDir = filepath.Join(parts.Root(), "deploy", "kustomize", "base")

const baseRelease = "oci-proxy"

// rendered returns the manifests of the base as the chart makes them, without the marks of Helm, and the config.
func rendered(t *testing.T) (manifests, config string) {
	t.Helper()
	text, err := Helm(t, nil, "template", baseRelease, Dir(), "--namespace", baseRelease, "--no-hooks",
		"--values", filepath.Join(filepath.Dir(baseDir), "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "---\n"), "\n---\n") {
		for _, o := range Objects(t, part) {
			if o.Kind() == "ConfigMap" {
				config = o.Text("data", "config.yaml")
				continue
			}
			var lines []string
			for line := range strings.SplitSeq(strings.TrimSpace(part), "\n") {
				if !strings.Contains(line, "helm.sh/chart:") && !strings.Contains(line, "managed-by: Helm") && !strings.HasPrefix(line, "# Source:") {
					lines = append(lines, line)
				}
			}
			kept = append(kept, strings.Join(lines, "\n"))
		}
	}
	return strings.Join(kept, "\n---\n") + "\n", config
}

// TestBase: the base for kustomize is what the chart renders.
func TestBase(t *testing.T) {
	manifests, config := rendered(t)
	const note = "# Written by `make manifests` from the chart: do not edit.\n"
	generated(t, filepath.Join(baseDir, "server.yaml"), note+manifests)
	generated(t, filepath.Join(baseDir, "config.yaml"), note+config)
	if out, code := check(t, config); code != 0 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestSlowBase: kustomize builds from the base what the chart renders. The overlay of the docs replaces the image and
// the config.
func TestSlowBase(t *testing.T) {
	parts.Slow(t)
	manifests, config := rendered(t)
	want := map[string]Object{}
	for _, o := range Objects(t, manifests) {
		asObject(o["metadata"])["namespace"] = baseRelease
		want[o.String()] = o
	}
	got := built(t, baseDir)
	if text := got["ConfigMap/oci-proxy"].Text("data", "config.yaml"); !strings.HasSuffix(text, config) {
		t.Errorf("the config (-want +got):\n%s", cmp.Diff(config, text))
	}
	delete(got, "ConfigMap/oci-proxy")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kustomize build (-want +got):\n%s", diff)
	}

	overlay := t.TempDir()
	relative, err := filepath.Rel(overlay, baseDir)
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Replace(documented(t), "../oci-proxy/deploy/kustomize/base", relative, 1)
	for name, text := range map[string]string{"config.yaml": "version: 1\n", "kustomization.yaml": shown} {
		if err := os.WriteFile(filepath.Join(overlay, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got = built(t, overlay)
	pod, _ := got["Deployment/oci-proxy"].Pod()
	if image := pod.Text("containers", 0, "image"); image != "registry.example.org/oci-proxy:0.1.0" {
		t.Errorf("image %s", image)
	}
	if text := got["ConfigMap/oci-proxy"].Text("data", "config.yaml"); text != "version: 1\n" {
		t.Errorf("config %q", text)
	}
}

// documented returns the overlay that docs/kubernetes.md shows.
func documented(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "kubernetes.md"))
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(page), "```") {
		if text, ok := strings.CutPrefix(block, "yaml\n"); ok && strings.Contains(text, "kind: Kustomization") {
			return text
		}
	}
	t.Fatal("docs/kubernetes.md has no overlay")
	return ""
}

// built returns what kustomize builds from a directory, by kind and name.
func built(t *testing.T, dir string) map[string]Object {
	t.Helper()
	cmd := exec.Command(parts.Find(t, "kustomize"), "build", dir)
	cmd.Env = parts.Env(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", dir, err, out)
	}
	all := map[string]Object{}
	for _, o := range Objects(t, string(out)) {
		all[o.String()] = o
	}
	return all
}

// base creates in the cluster what kustomize builds from the base.
func base(t *testing.T, c *kube.Cluster) {
	c.Namespace(t, baseRelease)
	for name, o := range built(t, baseDir) {
		if err := c.Create(o, baseRelease, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	pods(t, c, baseRelease)
}

// TestEveryValueIsInValues: every value in the schema is in values.yaml, where a person finds it. (helm itself does the
// other direction: it checks values.yaml against the schema.)
func TestEveryValueIsInValues(t *testing.T) {
	var values, schema map[string]any
	for file, into := range map[string]*map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
		text, err := os.ReadFile(filepath.Join(Dir(), file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	var walk func(path string, values, schema any)
	walk = func(path string, values, schema any) {
		if ref := asObject(schema).Text("$ref"); ref != "" {
			return // more than one value uses it, so it has all keys, not only those of values.yaml
		}
		for key := range asObject(Get(schema, "properties")) {
			if path == "" && key == "global" {
				continue
			}
			value, ok := asObject(values)[key]
			if !ok {
				t.Errorf("values.yaml lacks %s%s", path, key)
			}
			walk(path+key+".", value, Get(schema, "properties", key))
		}
	}
	walk("", values, schema)
}
