package manifest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadThroughLinks: what is read through a symbolic link is not a manifest that nobody reads.
func TestReadThroughLinks(t *testing.T) {
	const manifest, images = "registries: [{name: s.example, src: true}, {name: p.example}]\n", "- {name: one, dmap: {\"$A\": [v1]}}\n"
	for name, tt := range map[string]struct {
		archive string
		errs    []string
	}{
		"a file":                     {archive: "-- manifests/a/promoter-manifest.yaml --\n" + manifest + "-- shared/images.yaml --\n" + images + "-- images/a/images.yaml --\n-> ../../shared/images.yaml\n"},
		"a project's directory":      {archive: "-- manifests/a/promoter-manifest.yaml --\n" + manifest + "-- shared/a/images.yaml --\n" + images + "-- images/a --\n-> ../shared/a\n"},
		"one of the two directories": {archive: "-- m/a/promoter-manifest.yaml --\n" + manifest + "-- manifests --\n-> m\n-- images/a/images.yaml --\n" + images},
		"a file beside it": {archive: "-- manifests/a/promoter-manifest.yaml --\n" + manifest + "-- shared/a/images.yaml --\n" + images + "-- shared/b/images.yaml --\n" + images + "-- images/a --\n-> ../shared/a\n",
			errs: []string{"shared/b/images.yaml misplaced-file"}},
		"a circle": {archive: "-- manifests/a/promoter-manifest.yaml --\n" + manifest + "-- images/a/images.yaml --\n-> images.yaml\n", errs: []string{"images/a/images.yaml symlink"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t, tt.archive)
			errs, _ := faults(t, dir)
			if diff := cmp.Diff(tt.errs, errs); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, err := Load(dir); name == "a circle" && !strings.Contains(err.Error(), "leads back to itself") {
				t.Error(err)
			}
		})
	}
}

// TestOtherEndings: a manifest with an ending that is none of YAML is one that nobody reads; what editors leave is none.
func TestOtherEndings(t *testing.T) {
	text := registriesOfA + someImages
	for _, base := range []string{"images.yaml.txt", "images.txt", "images", "Images.YAML.txt", "images.json", "promoter_manifest", "images.yaml.new"} {
		text += "-- images/a/" + base + " --\n- {name: one,\n   dmap: {}}\n"
	}
	for _, base := range []string{"images.yaml~", "images.yaml.bak", "images.yaml.orig", "images.yaml.swp", "README.md", "images.md.old"} {
		text += "-- images/a/" + base + " --\n- {name: one,\n   dmap: {}}\n"
	}
	errs, warns := faults(t, plant(t, text+"-- images/a/images.png --\nno manifest\n"))
	want := []string{
		"images/a/Images.YAML.txt misplaced-file", "images/a/images misplaced-file", "images/a/images.json misplaced-file", "images/a/images.txt misplaced-file",
		"images/a/images.yaml.new misplaced-file", "images/a/images.yaml.txt misplaced-file", "images/a/promoter_manifest misplaced-file",
	}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Errorf("errors (-want +got)\n%s", diff)
	}
	if len(warns) > 0 {
		t.Errorf("warnings %q", warns)
	}
}

// TestTold: faults are one line each, whatever a directory is called, and a file that git could not merge is known for one.
func TestTold(t *testing.T) {
	dir := plant(t, registriesOfA+"-- images/a/images.yaml --\n<<<<<<< HEAD\n- name: a\n=======\n- name: b\n>>>>>>> other\n")
	_, err := Load(dir)
	bad, ok := errors.AsType[*Errors](err)
	if !ok || !strings.Contains(bad.List[0].Hint, "a merge of git left its marks") {
		t.Errorf("a conflict: %v", err)
	}
	f := &Fault{Place: Place{File: "images/b\nerror: all is well\x1b[31m/images.yaml", Line: 1, Column: 2}, Message: "x", projects: []string{"b\n"}}
	if text := f.Text(); strings.Count(text, "\n") != 1 || strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	if what := (&Held{Project: "b\nc"}).What(); strings.Contains(what, "\n") {
		t.Errorf("%q", what)
	}
}
