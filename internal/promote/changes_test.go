package promote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/manifest"
)

// edges returns all edges of a tree.
func edges(tree *manifest.Tree) (all []string) {
	for p, i := range tree.Images() {
		for _, to := range p.Destinations {
			for _, d := range i.Digests {
				if len(d.Tags) == 0 {
					all = append(all, to.Repository(i.Name)+"@"+d.Digest.Hex()[:1])
				}
				for _, t := range d.Tags {
					all = append(all, to.Repository(i.Name)+":"+t.Name+"@"+d.Digest.Hex()[:1])
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestChanges(t *testing.T) {
	before := plain(t, registries+`images: [{name: one, dmap: {$a: [v1], $b: []}}, {name: gone, dmap: {$c: [v1]}}]`)
	tests := []struct {
		name, now string
		want      []string
	}{
		{"nothing", registries + `images: [{name: one, dmap: {$b: [], $a: [v1]}}]`, nil},
		{"tag and digest", registries + `images: [{name: one, dmap: {$a: [v1, v2], $b: [v3], $c: [], $d: [v4]}}]`,
			[]string{"eu.io/p/one:v2@a", "eu.io/p/one:v3@b", "eu.io/p/one:v4@d", "eu.io/p/one@c", "us.io/p/one:v2@a", "us.io/p/one:v3@b", "us.io/p/one:v4@d", "us.io/p/one@c"}},
		{"tag to another digest", registries + `images: [{name: one, dmap: {$c: [v1]}}]`, []string{"eu.io/p/one:v1@c", "us.io/p/one:v1@c"}},
		{"new destination", "registries: [{name: st.io/b, src: true}, {name: ap.io/p}, {name: us.io/p}]\nimages: [{name: one, dmap: {$a: [v1], $b: [v2]}}]",
			[]string{"ap.io/p/one:v1@a", "ap.io/p/one:v2@b", "us.io/p/one:v2@b"}},
		{"nested destination", "registries: [{name: st.io/b, src: true}, {name: us.io}]\nimages: [{name: p/one, dmap: {$a: [v1], $b: [v2]}}]", []string{"us.io/p/one:v2@b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, edges(Changes(before, plain(t, tt.now)))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRevision(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git")
	}
	repo := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=x", "-c", "user.email=x@x.io", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = repo
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	image := func(tags ...string) string {
		return fmt.Sprintf("- {name: one, dmap: {%q: [%s]}}\n", dig("a"), strings.Join(tags, ", "))
	}
	tree := filepath.Join(repo, "sub", "prod")
	git("init", "-q")
	write("README.md", "x")
	write("plain.yaml", registries+"images:\n"+image("p1"))
	git("add", ".")
	git("commit", "-qm", "nothing yet")
	git("tag", "zero")
	write("sub/prod/manifests/a b/promoter-manifest.yaml", registries)
	write("sub/prod/images/a b/images.yaml", image("v1"))
	write("sub/other/images.yaml", ":")
	if err := os.Symlink("a b", filepath.Join(tree, "manifests", "c")); err != nil { // a directory: not followed
		t.Fatal(err)
	}
	write("sub/prod/images/d/images.yaml", "[]\n")
	if err := os.MkdirAll(filepath.Join(tree, "manifests", "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../a b/promoter-manifest.yaml", filepath.Join(tree, "manifests", "d", "promoter-manifest.yaml")); err != nil {
		t.Fatal(err)
	}
	write(".gitattributes", "*.yaml export-ignore export-subst\n")
	git("add", ".")
	git("commit", "-qm", "first")
	git("tag", "one")
	write("sub/prod/images/a b/images.yaml", image("v1", "v2"))
	write("plain.yaml", registries+"images:\n"+image("p1", "p2"))
	git("commit", "-qam", "second")
	write("sub/prod/images/a b/images.yaml", image("dirty"))

	for _, tt := range []struct {
		path, rev string
		want      []string
		fails     string
	}{
		{tree, "zero", nil, ""},
		{tree, "one", []string{"eu.io/p/one:v1@a", "us.io/p/one:v1@a"}, ""},
		{tree, "HEAD", []string{"eu.io/p/one:v1@a", "eu.io/p/one:v2@a", "us.io/p/one:v1@a", "us.io/p/one:v2@a"}, ""},
		{filepath.Join(repo, "plain.yaml"), "HEAD~1", []string{"eu.io/p/one:p1@a", "us.io/p/one:p1@a"}, ""},
		{filepath.Join(repo, "gone.yaml"), "HEAD", nil, ""},
		{tree, "nonsense", nil, "there is no such revision here"},
		{tree, "--help", nil, "no revision"},
		{t.TempDir(), "HEAD", nil, "not a git repository"},
	} {
		got, err := Revision(t.Context(), tt.path, tt.rev)
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%s %s: got %v", tt.path, tt.rev, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", tt.path, tt.rev, err)
			continue
		}
		if diff := cmp.Diff(tt.want, edges(got)); diff != "" {
			t.Errorf("%s %s: (-want +got)\n%s", tt.path, tt.rev, diff)
		}
	}
}
