package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someImages = "-- images/a/images.yaml --\n- {name: one, dmap: {\"$A\": [v1]}}\n"

// TestNothing: what promotes nothing is told, and nobody may go on with it.
func TestNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		archive      string
		errs, warns  []string
		held, strict string // the first fault that Hold refuses the tree for; empty: it does not
	}{
		"no project":       {archive: "-- manifests/README.md --\n-- images/README.md --\n", errs: []string{" no-project"}, held: "no-project", strict: "no-project"},
		"empty projects":   {archive: "-- manifests/a/OWNERS --\n-- images/a/OWNERS --\n", errs: []string{" no-project"}, held: "no-project", strict: "no-project"},
		"only foreign":     {archive: "-- manifests/a/kustomization.yaml --\nx: 1\n-- images/a/x.yml --\n", errs: []string{" no-project"}, warns: []string{"images/a/x.yml unread-file", "manifests/a/kustomization.yaml unread-file"}, held: "no-project", strict: "no-project"},
		"empty":            {archive: registriesOfA + "-- images/a/images.yaml --\n", warns: []string{" nothing", "images/a/images.yaml empty-file"}, held: "nothing", strict: "nothing"},
		"a comment":        {archive: registriesOfA + "-- images/a/images.yaml --\n# later\n", warns: []string{" nothing", "images/a/images.yaml empty-file"}, held: "nothing", strict: "nothing"},
		"null":             {archive: registriesOfA + "-- images/a/images.yaml --\n---\nnull\n", warns: []string{" nothing", "images/a/images.yaml:2:1 empty-file"}, held: "nothing", strict: "nothing"},
		"stated emptiness": {archive: registriesOfA + "-- images/a/images.yaml --\n[]\n", warns: []string{" nothing"}, held: "nothing", strict: "nothing"},
		"no digest":        {archive: registriesOfA + "-- images/a/images.yaml --\n- {name: one, dmap: {}}\n", warns: []string{" nothing"}, held: "nothing", strict: "nothing"},
		"no images yet":    {archive: registriesOfA + "-- images/README --\n", warns: []string{" nothing", "manifests/a/promoter-manifest.yaml half-project"}, held: "nothing", strict: "nothing"},
		"no manifest yet":  {archive: someImages + "-- manifests/README --\n", warns: []string{" nothing", "images/a/images.yaml half-project"}, held: "nothing", strict: "nothing"},
		"beside another": {archive: registriesOfA + someImages + "-- manifests/b/promoter-manifest.yaml --\nregistries: [{name: s.example, src: true}, {name: p.example}]\n-- images/b/images.yaml --\n",
			warns: []string{"images/b/images.yaml empty-file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t, tt.archive)
			errs, warns := faults(t, dir)
			for _, list := range [][]string{errs, warns} {
				for i := range list {
					list[i] = strings.TrimPrefix(list[i], dir)
				}
			}
			if diff := cmp.Diff(tt.errs, errs); diff != "" {
				t.Errorf("errors (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.warns, warns); diff != "" {
				t.Errorf("warnings (-want +got)\n%s", diff)
			}
			for _, strict := range []bool{false, true} {
				want := tt.held
				if strict {
					want = tt.strict
				}
				tree, err := Load(dir)
				_, err = tree.Hold(err, strict)
				got := ""
				if bad, ok := errors.AsType[*Errors](err); ok {
					got = string(bad.List[0].Rule)
					if f := bad.List[0]; !strings.HasPrefix(f.Message, "nothing to promote in "+dir) || f.Hint == "" {
						t.Error(f.Text())
					}
				}
				if got != want {
					t.Errorf("strict %v: refused for %q, want %q", strict, got, want)
				}
			}
		})
	}
}

// TestPlainNothing: a plain manifest has the same warnings.
func TestPlainNothing(t *testing.T) {
	for images, want := range map[string]string{
		"": "empty-file nothing", " null": "empty-file nothing", " []": "nothing", " [{name: a, dmap: {}}]": "nothing",
		" [{name: a, dmap: {$A: }}]": "",
	} {
		tree, err := Plain("x.yaml", []byte(expand("registries: [{name: s.example, src: true}, {name: p.example}]\nimages:"+images+"\n")))
		if err != nil {
			t.Errorf("%q: %v", images, err)
			continue
		}
		var got []string
		for _, w := range tree.Warnings {
			got = append(got, string(w.Rule))
		}
		if strings.Contains(want, " ") && len(got) == 2 && got[0] > got[1] {
			got[0], got[1] = got[1], got[0]
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got)\n%s", images, diff)
		}
		if _, err := tree.Hold(nil, false); (err != nil) != (want != "") {
			t.Errorf("%q: Hold: %v", images, err)
		}
	}
}

// TestDidYouMean: who names the wrong directory is told where a tree is.
func TestDidYouMean(t *testing.T) {
	dir := plant(t, registriesOfA+someImages)
	repository := filepath.Join(t.TempDir(), "we[ird]*")
	if err := os.MkdirAll(filepath.Join(repository, "some", "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(repository, "some", "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(repository, "registry.example")
	if err := os.CopyFS(tree, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(repository, "plain")
	if err := os.Mkdir(plain, 0o755); err != nil {
		t.Fatal(err)
	}
	text := expand("registries: [{name: s.example, src: true}, {name: p.example}]\nimages: [{name: a, dmap: {\"$A\": []}}]\n")
	if err := os.WriteFile(filepath.Join(plain, "all.yml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		repository:                         tree,
		filepath.Join(tree, "manifests"):   tree,
		filepath.Join(tree, "images"):      tree,
		filepath.Join(tree, "images/a"):    tree,
		filepath.Join(tree, "images/a/.."): tree,
		plain:                              filepath.Join(plain, "all.yml"),
		filepath.Join(repository, "some"):  "",
	} {
		_, err := Load(path)
		bad, ok := errors.AsType[*Errors](err)
		if !ok {
			t.Errorf("%s: error %v", path, err)
			continue
		}
		got := ""
		if text, found := strings.CutPrefix(bad.List[0].Hint, "did you mean "); found {
			got, _, _ = strings.Cut(text, "? ")
		}
		if got != want {
			t.Errorf("%s: did you mean %q, want %q: %s", path, got, want, bad.List[0].Text())
		}
	}
	t.Chdir(filepath.Join(tree, "images"))
	_, err := Load(".")
	if bad, ok := errors.AsType[*Errors](err); !ok || !strings.HasPrefix(bad.List[0].Hint, "did you mean ..? ") {
		t.Errorf("from below: %v", err)
	}
}
