package token

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/infra"
)

// values are the arguments in a plan, by the address of their resource.
type values map[string]map[string]any

// apply returns what a module makes, with the values that the stubs of the providers make up.
func apply(t testing.TB, module string, inputs map[string]any) values {
	t.Helper()
	dir := filepath.Join(infra.Copy(t), module)
	text, err := json.Marshal(inputs)
	if err != nil {
		t.Fatal(err)
	}
	vars := filepath.Join(dir, "in.tfvars.json")
	if err := os.WriteFile(vars, text, 0o600); err != nil {
		t.Fatal(err)
	}
	infra.Init(t, dir)
	file, err := infra.Applied(t, dir, "-var-file="+vars)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	var plan struct {
		PlannedValues struct {
			RootModule struct {
				Resources []struct {
					Address string
					Values  map[string]any
				}
			} `json:"root_module"`
		} `json:"planned_values"`
	}
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	all := values{}
	for _, r := range plan.PlannedValues.RootModule.Resources {
		all[r.Address] = r.Values
	}
	return all
}

// of returns the resources of a kind.
func (v values) of(kind string) []map[string]any {
	var list []map[string]any
	for address, r := range v {
		if strings.HasPrefix(address, kind) {
			list = append(list, r)
		}
	}
	return list
}

// texts returns the argument as a list of strings.
func texts(v any) []string {
	var list []string
	items, _ := v.([]any)
	for _, item := range items {
		text, _ := item.(string)
		list = append(list, text)
	}
	return list
}

// text returns the argument as a string.
func text(v any) string {
	s, _ := v.(string)
	return s
}
