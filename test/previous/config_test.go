package previous

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestSlowPreviousConfigs: this release reads every config that the previous one read, with the same values and the same
// defaults. The files are those of the previous release: one has every key that it knew.
func TestSlowPreviousConfigs(t *testing.T) {
	parts.Slow(t)
	old, now := previous(t), current(t)
	tree := parts.Tree(t, previousCommit)
	var files []string
	for _, pattern := range []string{"examples/*.yaml", "internal/config/testdata/good/*.yaml", "deploy/package/config.yaml"} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s in %s: %v", pattern, tree, err)
		}
		files = append(files, found...)
	}
	effective := func(r release, file string) proxy.Map {
		var values proxy.Map
		if err := yaml.Unmarshal([]byte(run(t, nil, r.server, "check", "--no-files", "--print", file)), &values); err != nil {
			t.Fatal(err)
		}
		return values
	}
	for _, file := range files {
		name, _ := filepath.Rel(tree, file)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "upstreams:") {
				t.Skip("no whole config")
			}
			want := effective(old, file)
			if diff := cmp.Diff(any(want), known(want, effective(now, file))); diff != "" {
				t.Errorf("what the current release reads (-previous +current):\n%s", diff)
			}
		})
	}
}

// known returns got without the keys that want does not have: keys that are newer.
func known(want, got any) any {
	switch want := want.(type) {
	case proxy.Map:
		got, ok := got.(proxy.Map)
		if !ok {
			return got
		}
		out := proxy.Map{}
		for key, value := range want {
			if g, ok := got[key]; ok {
				out[key] = known(value, g)
			}
		}
		return out
	case proxy.List:
		got, ok := got.(proxy.List)
		if !ok || len(got) != len(want) {
			return got
		}
		out := make(proxy.List, len(want))
		for i := range want {
			out[i] = known(want[i], got[i])
		}
		return out
	}
	return got
}
