// Package chart tests the Helm chart of deploy/helm, and the base of deploy/kustomize that is made from it.
//
// It knows how to render the chart, and what every manifest of it must look like. It must not know how the programs
// work: the programs themselves say whether a config and arguments are right.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
)

// Release and Namespace are the names under which the tests install the chart.
const (
	Release   = "registry"
	Namespace = "images"
)

// Dir returns the chart's directory.
func Dir() string { return filepath.Join(parts.Root(), "deploy", "helm", "oci-proxy") }

// Examples returns the files with example values, by name without .yaml. Other files have values that no example sets.
func Examples(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{filepath.Join("deploy", "helm", "examples"), filepath.Join("test", "chart", "testdata", "values")} {
		files, err := filepath.Glob(filepath.Join(parts.Root(), dir, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no examples in %s: %v", dir, err)
		}
		for _, file := range files {
			all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = file
		}
	}
	return all
}

// Helm runs helm in an empty home and returns its output. env is added to the environment.
func Helm(t testing.TB, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(parts.Find(t, "helm"), args...)
	cmd.Env = append(append(parts.Env(t), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(),
		"HELM_DATA_HOME="+t.TempDir()), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String(), err
}

// Values has values of the chart for a test.
type Values = map[string]any

// Template renders the chart with a file of values, and with more values that override it. Both may be empty.
func Template(t testing.TB, file string, more Values, flags ...string) (string, error) {
	t.Helper()
	args := append([]string{"template", Release, Dir(), "--namespace", Namespace}, flags...)
	if file != "" {
		args = append(args, "--values", file)
	}
	if more != nil {
		args = append(args, "--values", WriteValues(t, more))
	}
	return Helm(t, nil, args...)
}

// WriteValues writes a file of values.
func WriteValues(t testing.TB, v Values) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	// For helm a comma ends a name, and t.TempDir has the test's name in the path.
	file := filepath.Join(parts.ShortDir(t), "values.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Object is a manifest.
type Object map[string]any

// Objects parses a stream of manifests.
func Objects(t testing.TB, text string) []Object {
	t.Helper()
	var all []Object
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o Object
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("not YAML: %v\n%s", err, text)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
}

// Get returns what is at a path of keys and indexes. It returns nil when nothing is there.
func Get(from any, path ...any) any {
	for _, step := range path {
		switch at := from.(type) {
		case Object:
			from = at[step.(string)]
		case map[string]any:
			from = at[step.(string)]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(at) {
				return nil
			}
			from = at[i]
		default:
			return nil
		}
	}
	return from
}

// Text is [Get] for a text. It returns "" when the value is not a text.
func (o Object) Text(path ...any) string {
	text, _ := Get(o, path...).(string)
	return text
}

// Kind returns the kind of an object.
func (o Object) Kind() string { return o.Text("kind") }

// Name returns the name of an object.
func (o Object) Name() string { return o.Text("metadata", "name") }

// String names the object in messages.
func (o Object) String() string { return o.Kind() + "/" + o.Name() }

// Hook returns which hook of helm the object is. It returns "" when it is none.
func (o Object) Hook() string { return o.Text("metadata", "annotations", "helm.sh/hook") }

// Pod returns the pod's specification and metadata from an object that makes pods.
func (o Object) Pod() (spec, metadata Object) {
	var template any
	switch o.Kind() {
	case "Pod":
		template = o
	case "Deployment", "Job":
		template = Get(o, "spec", "template")
	case "CronJob":
		template = Get(o, "spec", "jobTemplate", "spec", "template")
	default:
		return nil, nil
	}
	return asObject(Get(template, "spec")), asObject(Get(template, "metadata"))
}

func asObject(v any) Object {
	switch v := v.(type) {
	case Object:
		return v
	case map[string]any:
		return v
	}
	return nil
}

// Find returns the one object of a kind and name.
func Find(t testing.TB, all []Object, kind, name string) Object {
	t.Helper()
	for _, o := range all {
		if o.Kind() == kind && o.Name() == name {
			return o
		}
	}
	t.Fatalf("no %s/%s in %v", kind, name, all)
	return nil
}
