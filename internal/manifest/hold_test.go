package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// neighbours are three projects without a fault; b and c share a destination.
const neighbours = `
-- manifests/a/promoter-manifest.yaml --
registries: [{name: staging.example/a, src: true}, {name: prod.example/images/a}]
-- images/a/images.yaml --
- {name: app, dmap: {"$A": [v1], "$B": []}}
-- manifests/b/promoter-manifest.yaml --
registries: [{name: staging.example/b, src: true}, {name: prod.example/images/b}]
-- images/b/images.yaml --
- {name: app, dmap: {"$A": [v1]}}
-- manifests/c/promoter-manifest.yaml --
registries: [{name: staging.example/c, src: true}, {name: prod.example/images/b}]
-- images/c/images.yaml --
- {name: other, dmap: {"$C": [v1]}}
`

// hold loads a tree and returns what may be promoted, and what is held back with its rules; "" when all is refused.
func hold(t *testing.T, dir string, strict bool) (tree *Tree, left, held string) {
	t.Helper()
	tree, err := Load(dir)
	tree, err = tree.Hold(err, strict)
	var all *Errors
	if errors.As(err, &all) {
		return nil, "", ""
	} else if err != nil {
		t.Fatal(err)
	}
	var names, out []string
	for _, p := range tree.Projects {
		names = append(names, p.Name)
	}
	for _, h := range tree.Held {
		var rules []string
		for _, f := range h.Faults {
			if rules = append(rules, string(f.Rule)); f.File == "" || f.Message == "" || f.Hint == "" {
				t.Errorf("no file, message or remedy: %+v", f)
			}
		}
		slices.Sort(rules)
		out = append(out, h.Project+"="+strings.Join(slices.Compact(rules), ","))
	}
	return tree, strings.Join(names, " "), strings.Join(out, " ")
}

// One bad file holds back its project, whatever is wrong with it, and no other but those that it may contradict.
func TestHoldOne(t *testing.T) {
	put := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			name := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(expand(text)), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const images, registries = "images/a/images.yaml", "manifests/a/promoter-manifest.yaml"
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		held  string
		line  int // of the first fault; 0: it is about the file
	}{
		"malformed digest":  {put(images, "- name: app\n  dmap:\n    \"sha256:abc\": [v1]\n"), "a=digest", 3},
		"syntax":            {put(images, "- name: app\n  dmap: {\"$A\": [v1\n"), "a=syntax", 3},
		"tab":               {put(images, "- name: app\n\tdmap: {}\n"), "a=syntax", 2},
		"duplicate key":     {put(images, "- name: app\n  dmap: {}\n  dmap: {}\n"), "a=duplicate-key", 3},
		"unknown field":     {put(images, "- name: app\n  dmap: {}\n  tags: []\n"), "a=unknown-key", 3},
		"unknown registry":  {put(registries, "registries:\n- {name: staging.example/a, src: true}\n- {name: https://prod.example/images/a}\n"), "a=registry-name", 3},
		"empty manifest":    {put(registries, ""), "a=missing-key", 1},
		"two tags alike":    {put(images, "- {name: app, dmap: {\"$A\": [v1], \"$B\": [v1]}}\n"), "a=tag-conflict", 1},
		"bad tag":           {put(images, "- {name: app, dmap: {\"$A\": [\"v 1\"]}}\n"), "a=tag", 1},
		"not UTF-8":         {put(images, "# fine\n- name: app # caf\xe9\n  dmap: {}\n"), "a=syntax", 2},
		"binary":            {put(images, "- name: app\n  dmap: {}\x00\n"), "a=syntax", 2},
		"huge":              {put(images, strings.Repeat("# nothing at all\n", 1<<20)), "a=unreadable", 0},
		"second manifest":   {put("images/a/sub/images.yaml", "[]\n"), "a=misplaced-file", 0},
		"misspelt manifest": {put("manifests/a/promoter-manifest.yml", "registries: []\n"), "a=misplaced-file", 0},
		"of no project":     {put("image/a/images.yaml", "[]\n"), "=misplaced-file", 0},
		"link out of the tree": {func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(filepath.Join(dir, images)), os.Symlink("/etc/passwd", filepath.Join(dir, images))); err != nil {
				t.Fatal(err)
			}
		}, "a=symlink", 0},
		"directory for a file": {func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(filepath.Join(dir, images)), os.Mkdir(filepath.Join(dir, images), 0o755)); err != nil {
				t.Fatal(err)
			}
		}, "a=unreadable", 0},
		"link for a project": {func(t *testing.T, dir string) {
			if err := errors.Join(os.RemoveAll(filepath.Join(dir, "images/a")), os.Symlink("gone", filepath.Join(dir, "images/a"))); err != nil {
				t.Fatal(err)
			}
		}, "a=symlink", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := plant(t, neighbours)
			before, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			tree, left, held := hold(t, dir, false)
			want := "b c"
			if strings.HasPrefix(c.held, "=") {
				want = "a b c"
			}
			if left != want || held != c.held {
				t.Fatalf("left %q, held back %q; want %q and %q", left, held, want, c.held)
			}
			if f := tree.Held[0].Faults[0]; f.Line != c.line {
				t.Errorf("line %d, want %d: %s", f.Line, c.line, f.Text())
			}
			if _, err := Load(dir); err == nil {
				t.Error("check finds no error")
			}
			if tree.Hash == before.Hash && !strings.Contains(c.held, "misplaced") {
				t.Error("the hash is that of before")
			}
		})
	}
}

// What a faulty file may have claimed is not promoted by others.
func TestHoldDisputed(t *testing.T) {
	manifestOf := func(project, destination string) string {
		return fmt.Sprintf("-- manifests/%s/promoter-manifest.yaml --\nregistries: [{name: staging.example/%[1]s, src: true}, {name: %s}]\n", project, destination)
	}
	imagesOf := func(project, text string) string { return "-- images/" + project + "/images.yaml --\n" + text + "\n" }
	sound := manifestOf("z", "prod.example/z") + imagesOf("z", `- {name: app, dmap: {"$A": [v1]}}`)
	for name, c := range map[string]struct{ archive, left, held string }{
		"three say two things of one tag": {
			manifestOf("a", "p.example/x") + imagesOf("a", `- {name: app, dmap: {"$A": [v1]}}`) +
				manifestOf("b", "p.example/x") + imagesOf("b", `- {name: app, dmap: {"$B": [v1]}}`) +
				manifestOf("c", "p.example/x") + imagesOf("c", `- {name: app, dmap: {"$A": [v1]}}`),
			"z", "a=tag-conflict b=tag-conflict c=tag-conflict"},
		"a tag of a digest that cannot be read": {
			manifestOf("a", "p.example/x") + imagesOf("a", `- {name: app, dmap: {"sha256:abc": [v1, v2]}}`) +
				manifestOf("b", "p.example") + imagesOf("b", `- {name: x/app, dmap: {"$B": [v2]}}`) +
				manifestOf("c", "p.example/x") + imagesOf("c", `- {name: app, dmap: {"$B": [v3]}}`),
			"c z", "a=digest,tag-conflict b=tag-conflict"},
		"images that cannot be read at all": {
			manifestOf("a", "p.example/x") + imagesOf("a", `- {name: app, dmap`) +
				manifestOf("b", "p.example/x") + imagesOf("b", `- {name: b, dmap: {"$B": [v2]}}`) +
				manifestOf("c", "p.example") + imagesOf("c", `- {name: x/deep/c, dmap: {"$B": [v3]}}`) +
				manifestOf("d", "p.example/x/own") + imagesOf("d", `- {name: d, dmap: {"$B": [v3]}}`),
			"d z", "a=syntax b=disputed c=disputed"},
		"the destination is misspelt": {
			manifestOf("a", "https://P.example/x/") + imagesOf("a", `- {name: app, dmap: {"$A": [v1]}}`) +
				manifestOf("b", "p.example/x") + imagesOf("b", `- {name: app, dmap: {"$B": [v1]}}`) +
				manifestOf("c", "p.example/x") + imagesOf("c", `- {name: app, dmap: {"$B": [v2]}}`),
			"c z", "a=registry-name b=disputed"},
		"both files cannot be read": {
			"-- manifests/a/promoter-manifest.yaml --\nregistries:\n\t- name: p.example/x\n" + imagesOf("a", `- {name: app, dmap`) +
				manifestOf("b", "p.example/x") + imagesOf("b", `- {name: b, dmap: {"$B": [v2]}}`),
			"z", "a=syntax b=disputed"},
		"half a project claims nothing": {
			imagesOf("a", `- {name: app, dmap: {"$A": [v1]}}`) + manifestOf("c", "p.example/x") +
				manifestOf("b", "p.example/x") + imagesOf("b", `- {name: app, dmap: {"$B": [v1]}}`),
			"b z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, left, held := hold(t, plant(t, c.archive+sound), false)
			if left != c.left || held != c.held {
				t.Errorf("left %q, held back %q; want %q and %q", left, held, c.left, c.held)
			}
		})
	}
}

// Nothing is held back of what has no error; warnings are errors where somebody wants it; and where nothing is left,
// or the tree itself cannot be read, all is refused.
func TestHoldAll(t *testing.T) {
	half := neighbours + "-- images/d/images.yaml --\n[]\n-- manifests/e/promoter-manifest.yaml --\nregistries: [{name: s.example/e, src: true}, {name: p.example/e}]\n"
	for name, c := range map[string]struct {
		archive    string
		strict     bool
		left, held string
	}{
		"nothing":         {neighbours, true, "a b c", ""},
		"halves":          {half, false, "a b c", ""},
		"halves, strict":  {half, true, "a b c", "d=half-project e=half-project"},
		"repeated":        {strings.Replace(neighbours, `[v1], "$B"`, `[v1, v1], "$B"`, 1), true, "b c", "a=repeated"},
		"nothing is left": {registriesOfA + "-- images/a/images.yaml --\n- x\n-- images/d/images.yaml --\n[]\n", false, "", ""},
		"no images":       {registriesOfA, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, left, held := hold(t, plant(t, c.archive), c.strict)
			if left != c.left || held != c.held {
				t.Errorf("left %q, held back %q; want %q and %q", left, held, c.left, c.held)
			}
		})
	}
	if tree, _, _ := hold(t, plant(t, half), false); !slices.Equal(tree.Halves, []string{"d", "e"}) {
		t.Errorf("halves %v", tree.Halves)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	tree, err := Load(gone)
	if _, err = tree.Hold(err, false); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// What a project that is held back, or half there, may have put into production is in doubt, and nothing else is.
func TestDoubtful(t *testing.T) {
	const b, c = "prod.example/images/b/app", "prod.example/images/b/other"
	ask := []string{"prod.example/images/a/app", "prod.example/images/a/rogue", b, c, "prod.example/images/b/rogue", "else.example/app", "else.example/x"}
	for name, tt := range map[string]struct {
		from, to string // in the files of neighbours
		more     string
		claimed  bool // by sound projects too
		want     []string
	}{
		"nothing is wrong":      {},
		"a digest":              {from: `"$B": []`, to: `"sha256:1": []`, want: ask[:1]},
		"the images":            {from: `"$B": []}}`, to: `"$B": []`, want: ask[:2]},
		"the manifest":          {from: "prod.example/images/a}", to: "https://prod.example/images/a}", want: []string{ask[0], b, "else.example/app"}},
		"the manifest, claimed": {from: "prod.example/images/a}", to: "https://prod.example/images/a}", claimed: true, want: ask[:1]},
		"neither can be read":   {more: "-- images/d/images.yaml --\n[\n-- manifests/d/promoter-manifest.yaml --\n", want: ask},
		"neither, claimed":      {more: "-- images/d/images.yaml --\n[\n-- manifests/d/promoter-manifest.yaml --\n", claimed: true},
		"no manifest":           {more: "-- images/d/images.yaml --\n- {name: x, dmap: {\"$A\": []}}\n", want: []string{"else.example/x"}},
		"no images": {more: "-- manifests/d/promoter-manifest.yaml --\nregistries: [{name: s.example, src: true}, {name: else.example}]\n",
			want: []string{"else.example/app", "else.example/x"}},
		"disputed": {from: `- {name: other`, to: `- {name: app, dmap: {"$C": [v1]}}` + "\n" + `- {name: other`, want: []string{b, c}},
	} {
		t.Run(name, func(t *testing.T) {
			text := neighbours + tt.more
			if tt.from != "" {
				text = strings.Replace(text, tt.from, tt.to, 1)
			}
			tree, _, _ := hold(t, plant(t, text), false)
			var got []string
			for _, repository := range ask {
				if tree != nil && tree.Doubtful(repository, tt.claimed) {
					got = append(got, repository)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
