package prove

import (
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is one host with production on it.
type world struct {
	*registrytest.Registry
	t    *testing.T
	regs *promote.Registries
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, Registry: registrytest.New(t, registrytest.Options{})}
	w.regs = promote.NewRegistries(promote.Access{Rate: 10000})
	t.Cleanup(w.regs.Close)
	return w
}

// image pushes an image made from a text, under tags.
func (w *world) image(repo, text string, tags ...string) oci.Digest {
	w.t.Helper()
	return w.push(tags, func(tag string) ocispec.Descriptor { return w.Image(repo, tag, text) })
}

// index pushes an image for two platforms.
func (w *world) index(repo string, tags ...string) oci.Digest {
	w.t.Helper()
	amd, arm := w.Image(repo, "", "amd 1", "amd 2"), w.Image(repo, "", "arm 1", "arm 2")
	return w.push(tags, func(tag string) ocispec.Descriptor { return w.Index(repo, tag, amd, arm) })
}

func (w *world) push(tags []string, push func(tag string) ocispec.Descriptor) oci.Digest {
	w.t.Helper()
	pushed := push("")
	for _, tag := range tags {
		push(tag)
	}
	d, err := oci.ParseDigest(string(pushed.Digest))
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// tree returns a plain manifest with images. Destinations are below the host.
func (w *world) tree(destinations []string, images string) *manifest.Tree {
	w.t.Helper()
	text := "registries:\n- {name: " + w.Host + "/staging, src: true}\n"
	for _, d := range destinations {
		text += "- {name: " + w.Host + "/" + d + "}\n"
	}
	tree, err := manifest.Plain("plain.yaml", []byte(text+"images:\n"+images))
	if err != nil {
		w.t.Fatal(err)
	}
	return tree
}

// entry returns a digest's line in an image.
func entry(d oci.Digest, tags ...string) string {
	return fmt.Sprintf("    %q: [%s]\n", d, strings.Join(tags, ", "))
}

func imageOf(name string, entries ...string) string {
	return "- name: " + name + "\n  dmap:\n" + strings.Join(entries, "")
}

// listDigests makes a repository's list include its manifests.
func (w *world) listDigests(repo string) {
	w.Change(func(o *registrytest.Options) { o.Digests = func(name string) bool { return name == repo } })
}

// run runs [Run] and returns findings as CLASS SUBJECT below the host.
func (w *world) run(tree *manifest.Tree, opt Options) (*Report, []string) {
	w.t.Helper()
	r, err := Run(w.t.Context(), tree, w.regs, opt)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for i := range r.Findings {
		f := &r.Findings[i]
		text := string(f.Class) + " " + strings.TrimPrefix(f.Subject(), w.Host+"/")
		if f.Store != "" && f.Repository != "" {
			text += " in " + f.Store
		}
		out = append(out, text)
	}
	return r, out
}
