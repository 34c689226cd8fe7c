package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
)

type kind struct{ version, kind string } // version includes the group: apps/v1

type resource struct {
	path       string // of the version
	name       string // as in paths: deployments
	namespaced bool
	lists      bool
}

// discover asks the server which kinds it has.
func (c *Cluster) discover() error {
	paths := map[string]string{"v1": "/api/v1"}
	groups, err := c.Do(http.MethodGet, "/apis", nil)
	if err != nil {
		return err
	}
	for _, g := range items(groups, "groups") {
		for _, v := range items(g, "versions") {
			version := v["groupVersion"].(string)
			paths[version] = "/apis/" + version
		}
	}
	c.kinds = map[kind]resource{}
	for version, path := range paths {
		list, err := c.Do(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		for _, r := range items(list, "resources") {
			name := r["name"].(string)
			if strings.Contains(name, "/") {
				continue
			}
			verbs, _ := r["verbs"].([]any)
			c.kinds[kind{version, r["kind"].(string)}] = resource{path: path, name: name,
				namespaced: r["namespaced"] == true, lists: slices.Contains(verbs, any("list"))}
		}
	}
	return nil
}

func items(from map[string]any, key string) []map[string]any {
	list, _ := from[key].([]any)
	var all []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// Path returns the path of all objects of a kind in a namespace.
func (c *Cluster) Path(version, name, namespace string) (string, error) {
	r, ok := c.kinds[kind{version, name}]
	if !ok {
		return "", fmt.Errorf("the server has no %s of %s", name, version)
	}
	return r.in(namespace), nil
}

func (r resource) in(namespace string) string {
	if !r.namespaced || namespace == "" {
		return r.path + "/" + r.name
	}
	return r.path + "/namespaces/" + namespace + "/" + r.name
}

// Create creates an object. With dry, the server only validates it. In both cases the server refuses unknown and
// duplicate fields.
func (c *Cluster) Create(object map[string]any, namespace string, dry bool) error {
	version, _ := object["apiVersion"].(string)
	name, _ := object["kind"].(string)
	path, err := c.Path(version, name, namespace)
	if err != nil {
		return err
	}
	path += "?fieldValidation=Strict"
	if dry {
		path += "&dryRun=All"
	}
	_, err = c.Do(http.MethodPost, path, object)
	return err
}

// All returns everything in a namespace, and everything that belongs to no namespace, as kind/name. It leaves out events: the
// server writes them when it notices something, such as while it repairs its list of addresses, and removes them after an hour.
func (c *Cluster) All(t testing.TB, namespace string) []string {
	t.Helper()
	found := map[string]bool{}
	for k, r := range c.kinds {
		if !r.lists || k.kind == "Event" {
			continue
		}
		list, err := c.Do(http.MethodGet, r.in(namespace), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items(list, "items") {
			name, _ := item["metadata"].(map[string]any)["name"].(string)
			found[k.kind+"/"+name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Namespace makes a namespace whose pods must follow the "restricted" policy. It also makes the account that a
// controller would make.
func (c *Cluster) Namespace(t testing.TB, name string) {
	t.Helper()
	for _, o := range []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": map[string]any{
			"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
		}}},
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "default"}},
	} {
		if err := c.Create(o, name, false); err != nil {
			t.Fatal(err)
		}
	}
}

// Define creates the custom kinds from the files that match patterns below the source of a module.
func (c *Cluster) Define(t testing.TB, module string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(parts.Source(t, module), pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s in %s: %v", pattern, module, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
				var o map[string]any
				if err := dec.Decode(&o); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				c.DefineKind(t, o)
			}
		}
	}
}

// DefineKind creates a custom kind and waits until the server serves it.
func (c *Cluster) DefineKind(t testing.TB, definition map[string]any) {
	t.Helper()
	if err := c.Create(definition, "", false); err != nil {
		t.Fatal(err)
	}
	spec, _ := definition["spec"].(map[string]any)
	name, _ := spec["names"].(map[string]any)["kind"].(string)
	parts.Poll(t, parts.Ready, "a new kind", func() error {
		if err := c.discover(); err != nil {
			return err // the server names a version a moment before it serves it
		}
		for k := range c.kinds {
			if k.kind == name {
				return nil
			}
		}
		return fmt.Errorf("no %s yet", name)
	})
}
