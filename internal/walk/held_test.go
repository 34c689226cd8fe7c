package walk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/registry/registrytest"
)

// A faulty project of promoter manifests is told, after what the others promote was handed on.
func TestHeldBack(t *testing.T) {
	w := registrytest.New(t, registrytest.Options{})
	src := open(t, w)
	dir := t.TempDir()
	digest := "sha256:" + strings.Repeat("a", 64)
	for project, said := range map[string]string{"good": digest, "bad": "sha256:abc", "worse": digest + "\": ["} {
		for name, text := range map[string]string{
			"manifests/" + project + "/promoter-manifest.yaml": fmt.Sprintf("registries: [{name: st.example/x, src: true}, {name: %s/%s}]\n", src.Registry, project),
			"images/" + project + "/images.yaml":               fmt.Sprintf("- name: app\n  dmap:\n    \"%s\": [v1]\n", said),
		} {
			name = filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	sel, err := newSelection(config.MirrorRepositories{Promoter: dir}, nil, src.Registry.String())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var last error
	for target, err := range sel.targets(t.Context(), src.Registry) {
		if last = err; err == nil {
			names = append(names, target.name)
		}
	}
	if !slices.Equal(names, []string{"good/app"}) {
		t.Errorf("walked %v", names)
	}
	if last == nil || !strings.Contains(last.Error(), "project bad is held back: "+dir+"/images/bad/images.yaml:3:5: expected a digest") ||
		!strings.Contains(last.Error(), "and 1 more") {
		t.Errorf("told %v", last)
	}
}
