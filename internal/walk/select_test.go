package walk

import (
	"fmt"
	"slices"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/registry/registrytest"
)

func TestSelection(t *testing.T) {
	w := registrytest.New(t, registrytest.Options{})
	for _, repo := range []string{"app", "team/a", "team/b", "team/b/c", "lib/x"} {
		w.Image(repo, "v1", repo)
	}
	for _, tt := range []struct {
		name string
		sel  config.MirrorRepositories
		only []string
		want string
	}{
		{"list", config.MirrorRepositories{List: []string{"app", "app", "lib/x"}}, nil, "[app lib/x]"},
		{"glob", config.MirrorRepositories{Include: []string{"team/*"}}, nil, "[team/a team/b]"},
		{"regexp", config.MirrorRepositories{Include: []string{"/team/.+/"}, Exclude: []string{"team/a"}}, nil, "[team/b team/b/c]"},
		{"both", config.MirrorRepositories{List: []string{"team/b"}, Include: []string{"team/*", "a*"}}, nil, "[app team/a team/b]"},
		{"only", config.MirrorRepositories{Include: []string{"*"}, Exclude: []string{"app"}}, []string{"lib/x", "app"}, "[lib/x]"},
		{"part of a name", config.MirrorRepositories{Include: []string{"/team/"}}, nil, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := open(t, w)
			sel, err := newSelection(tt.sel, tt.only, src.Registry.String())
			if err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for target, err := range sel.targets(t.Context(), src.Registry) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, target.name)
			}
			slices.Sort(names) // the catalog's order is the registry's
			if got := fmt.Sprint(names); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
