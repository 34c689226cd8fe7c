package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// plant writes an archive's files into a new directory. A file whose text is `-> target` is a symbolic link. $A…$D are digests.
func plant(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		text := expand(string(f.Data))
		var err error
		if target, ok := strings.CutPrefix(strings.TrimSpace(text), "-> "); ok {
			err = os.Symlink(target, name)
		} else {
			err = os.WriteFile(name, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func digest(letter string) string { return "sha256:" + strings.Repeat(strings.ToLower(letter), 64) }

func expand(s string) string {
	return os.Expand(s, func(name string) string {
		if len(name) == 1 && name >= "A" && name <= "F" {
			return digest(name)
		}
		return "$" + name
	})
}

// faults loads dir and returns `file:line:column rule` of each error and warning.
func faults(t *testing.T, dir string) (errs, warns []string) {
	t.Helper()
	tree, err := Load(dir)
	var all *Errors
	if err != nil && !errors.As(err, &all) {
		t.Fatal(err)
	}
	line := func(f *Fault) string {
		s := strings.TrimPrefix(fmt.Sprintf("%s %s", f.Place, f.Rule), dir+"/")
		for _, a := range f.Also {
			s += " also " + strings.TrimPrefix(a.String(), dir+"/")
		}
		return s
	}
	if all != nil {
		for _, f := range all.List {
			errs = append(errs, line(f))
		}
	}
	if tree != nil {
		for _, f := range tree.Warnings {
			warns = append(warns, line(f))
		}
	}
	return errs, warns
}

const good = `
-- manifests/a/promoter-manifest.yaml --
# where it goes
registries:
- name: staging.example/a
  src: true
- name: eu.example/prod/images
  service-account: robot@example
- {name: us.example:5000/prod/images, service-account: "robot@example"}
imagesPath: ignored
-- manifests/README.md --
# registries:
-- images/a/OWNERS --
approvers: [x]
-- images/a/images.yaml --
# v1.20
- name: one
  dmap:
    "$A": ["v1.20", 'latest']   # both
    $B:
    - "1.20"
    - '1e3'
    - "on"
    - "0x1F"
    - "2024-01-01"
    - !!str 1_000
    - "null"
    - "0777"
- name: sub/two
  dmap: {"$C": [], "$D": [ v1 ]}

# v1.21
- name: one
  dmap:
    $A:
      - stable
    "$C": ["v1.21"]
- dmap: {}
  name: three
`

func TestLoad(t *testing.T) {
	dir := plant(t, good)
	errs, warns := faults(t, dir)
	if len(errs)+len(warns) > 0 {
		t.Fatalf("errors %q, warnings %q", errs, warns)
	}
	tree, _ := Load(dir)
	var got []string
	for p, i := range tree.Images() {
		for _, d := range i.Digests {
			line := fmt.Sprintf("%s %s@%s", p.Source.Name, i.Name, d.Digest.Hex()[:1])
			for _, tag := range d.Tags {
				line += " " + tag.Name
			}
			got = append(got, line)
		}
	}
	want := []string{
		"staging.example/a one@a v1.20 latest stable",
		"staging.example/a one@b 1.20 1e3 on 0x1F 2024-01-01 1_000 null 0777",
		"staging.example/a one@c v1.21",
		"staging.example/a sub/two@c",
		"staging.example/a sub/two@d v1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	p := tree.Projects[0]
	if got := p.Destinations[1].Repository("one"); got != "us.example:5000/prod/images/one" {
		t.Errorf("repository %q", got)
	}
	if p.Destinations[0].ServiceAccount != "robot@example" {
		t.Errorf("account %q", p.Destinations[0].ServiceAccount)
	}
	if got := tree.Edges(); got != 28 {
		t.Errorf("%d edges, want 28", got)
	}
	if at := p.At(p.Images[0].Digests[1].Tags[1].Pos).String(); at != filepath.Join(dir, "images/a/images.yaml:7:7") {
		t.Errorf("place %s", at)
	}
}

const registriesOfA = `
-- manifests/a/promoter-manifest.yaml --
registries: [{name: staging.example/a, src: true}, {name: prod.example/images}]
`

func TestFaults(t *testing.T) {
	tests := []struct {
		name, archive string
		errs, warns   []string
	}{
		{name: "keys", archive: `
-- manifests/a/promoter-manifest.yaml --
registries:
- name: staging.example/a
  src: true
  src: false
- name: prod.example/images
  serviceaccount: x
image: []
-- images/a/images.yaml --
- name: one
  dmap:
    $A: [v1]
    "$A": [v2]
  tags: [x]
- name: two
- dmap: {}
`, errs: []string{
			"images/a/images.yaml:4:5 duplicate-key", "images/a/images.yaml:5:3 unknown-key", "images/a/images.yaml:6:3 missing-key", "images/a/images.yaml:7:3 missing-key",
			"manifests/a/promoter-manifest.yaml:4:3 duplicate-key", "manifests/a/promoter-manifest.yaml:6:3 unknown-key", "manifests/a/promoter-manifest.yaml:7:1 unknown-key",
		}},
		{name: "no source", archive: `
-- manifests/a/promoter-manifest.yaml --
registries:
- name: prod.example/images
-- images/a/images.yaml --
[]
`, errs: []string{"manifests/a/promoter-manifest.yaml:2:1 source"}},
		{name: "two sources, no destination", archive: `
-- manifests/a/promoter-manifest.yaml --
registries:
- {name: staging.example/a, src: true}
- {name: staging.example/b, src: true}
-- images/a/images.yaml --
# none yet
`, errs: []string{"manifests/a/promoter-manifest.yaml:2:1 destination", "manifests/a/promoter-manifest.yaml:3:10 source also manifests/a/promoter-manifest.yaml:2:10"},
			warns: []string{"images/a/images.yaml empty-file"}},
		{name: "registry names", archive: `
-- manifests/a/promoter-manifest.yaml --
registries:
- {name: staging.example/a, src: true}
- {name: https://prod.example/images}
- {name: prod.example/images/}
- {name: prod/images}
- {name: prod.example/Images}
- {name: "prod.example:0/images"}
- {name: ""}
- {name: prod.example/images, src: perhaps}
- {name: prod.example/images}
- {name: "[::1]:5000/images"}
- {name: localhost/images}
-- images/a/images.yaml --
[]
`, errs: []string{
			"manifests/a/promoter-manifest.yaml:3:10 registry-name", "manifests/a/promoter-manifest.yaml:4:10 registry-name", "manifests/a/promoter-manifest.yaml:5:10 registry-name",
			"manifests/a/promoter-manifest.yaml:6:10 registry-name", "manifests/a/promoter-manifest.yaml:7:10 registry-name", "manifests/a/promoter-manifest.yaml:8:10 registry-name",
			"manifests/a/promoter-manifest.yaml:9:36 shape", "manifests/a/promoter-manifest.yaml:10:10 destination also manifests/a/promoter-manifest.yaml:9:10",
		}},
		{name: "images, digests, tags", archive: registriesOfA + `
-- images/a/images.yaml --
- name: One
  dmap: {sha256:abc: [v1], "$A": [-x, "", ~, v1, [v2]], "$B": v1}
- name: one
  dmap: [v1]
- one
-
`, errs: []string{
			"images/a/images.yaml:1:9 image-name", "images/a/images.yaml:2:10 digest", "images/a/images.yaml:2:104 tag", "images/a/images.yaml:2:108 tag", "images/a/images.yaml:2:112 shape",
			"images/a/images.yaml:2:119 shape", "images/a/images.yaml:2:201 shape", "images/a/images.yaml:4:9 shape", "images/a/images.yaml:5:3 shape", "images/a/images.yaml:6:2 shape",
		}},
		{name: "said twice", archive: registriesOfA + `
-- images/a/images.yaml --
- name: one
  dmap:
    $A: [v1, v1]
    $B: []
- name: one
  dmap:
    $A: [v1]
    $B: []
    $C: [v1]
`, errs: []string{"images/a/images.yaml:9:79 tag-conflict also images/a/images.yaml:3:79"},
			warns: []string{"images/a/images.yaml:3:83 repeated also images/a/images.yaml:3:79", "images/a/images.yaml:7:79 repeated also images/a/images.yaml:3:79", "images/a/images.yaml:8:5 repeated also images/a/images.yaml:4:5"}},
		{name: "files", archive: registriesOfA + `
-- images/a/images.yml --
-- images/a/sub/images.yaml --
-- images/images.yaml --
-- images/a/OWNERS --
-- image/a/images.yaml --
-- other/values.yaml --
-- manifests/a/promoter_manifest.yaml --
-- .github/images.yaml --
-- images/b/images.yaml --
-- images/b/more.yaml --
- name: one
  dmap: {}
-- images/b/notes.yaml --
text: we map digests
-- images/c/promoter-manifest.yaml --
-- manifests/kustomization.yaml --
resources: []
`, errs: []string{
			"image/a/images.yaml misplaced-file", "images/a/images.yml misplaced-file", "images/a/sub/images.yaml misplaced-file", "images/b/more.yaml misplaced-file",
			"images/c/promoter-manifest.yaml misplaced-file", "images/images.yaml misplaced-file", "manifests/a/promoter_manifest.yaml misplaced-file",
		},
			warns: []string{
				"images/b/images.yaml half-project", "images/b/images.yaml empty-file", "images/b/notes.yaml unread-file", "manifests/a/promoter-manifest.yaml half-project", "manifests/kustomization.yaml unread-file",
			}},
		{name: "links", archive: registriesOfA + `
-- images/a/images.yaml --
-> ../../../../etc/passwd
-- images/b --
-> /etc
-- images/c/images.yaml --
-> gone
-- images/d --
-> e
-- images/e/images.yaml --
[]
-- manifests/d/promoter-manifest.yaml --
-> ../a/promoter-manifest.yaml
-- manifests/e --
-> d
`, errs: []string{"images/a/images.yaml symlink", "images/b symlink", "images/c/images.yaml symlink"}},
		{name: "between projects", archive: registriesOfA + `
-- images/a/images.yaml --
- {name: one, dmap: {"$A": [v1, v2], "$B": []}}
- {name: sub/one, dmap: {"$A": [v1, v2]}}
- {name: x/y, dmap: {"$A": [v1]}}
-- manifests/b/promoter-manifest.yaml --
registries: [{name: staging.example/b, src: true}, {name: prod.example/images}, {name: prod.example/images/sub}]
-- images/b/images.yaml --
- {name: one, dmap: {"$C": [v1], "$A": [v2], "$B": []}}
`, errs: []string{
			"images/b/images.yaml:1:98 tag-conflict also images/a/images.yaml:1:98", "images/b/images.yaml:1:98 tag-conflict also images/a/images.yaml:2:102",
		}, warns: []string{
			"images/a/images.yaml:2:10 nested also manifests/b/promoter-manifest.yaml:1:88",
			"images/b/images.yaml:1:179 redundant-edge also images/a/images.yaml:1:102", "images/b/images.yaml:1:179 redundant-edge also images/a/images.yaml:2:106",
			"images/b/images.yaml:1:184 redundant-edge also images/a/images.yaml:1:107",
		}},
		{name: "not YAML", archive: registriesOfA + `
-- images/a/images.yaml --
- name: one
  dmap:
	"$A": [v1]
-- manifests/b/promoter-manifest.yaml --
a: 1
---
b: 2
-- images/b/images.yaml --
- &x
  name: one
  dmap: {}
- *x
`, errs: []string{
			"images/a/images.yaml:3:1 syntax", "images/b/images.yaml:4:3 shape", "manifests/b/promoter-manifest.yaml:2:1 syntax",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs, warns := faults(t, plant(t, tt.archive))
			if diff := cmp.Diff(tt.errs, errs); diff != "" {
				t.Errorf("errors (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.warns, warns); diff != "" {
				t.Errorf("warnings (-want +got)\n%s", diff)
			}
		})
	}
}
