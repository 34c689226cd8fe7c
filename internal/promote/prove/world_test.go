package prove

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.uber.org/goleak"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("internal/poll.runtime_pollWait")) // idle connections of the pushing client
}

// world is one host with production on it.
type world struct {
	t    *testing.T
	host string
	regs *promote.Registries

	mu    sync.Mutex
	asked []string // METHOD path
	// answer replaces the registry's answer; false: it does not.
	answer func(http.ResponseWriter, *http.Request) bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	h := ggcr.New(ggcr.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		answer := w.answer
		w.mu.Unlock()
		if answer == nil || !answer(rw, r) {
			h.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(s.Close)
	w.host = strings.TrimPrefix(s.URL, "http://")
	w.regs = promote.NewRegistries(promote.Access{Rate: 10000})
	t.Cleanup(w.regs.Close)
	return w
}

// image pushes an image that is made of a text, under tags.
func (w *world) image(repo, text string, tags ...string) oci.Digest {
	w.t.Helper()
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte(text), types.OCILayer))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.push(repo, img, func(ref name.Reference) error { return remote.Write(ref, img) }, tags)
}

// index pushes a random image for two platforms.
func (w *world) index(repo string, tags ...string) (oci.Digest, v1.ImageIndex) {
	w.t.Helper()
	idx, err := random.Index(100, 2, 2)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.push(repo, idx, func(ref name.Reference) error { return remote.WriteIndex(ref, idx) }, tags), idx
}

func (w *world) push(repo string, img interface{ Digest() (v1.Hash, error) }, write func(name.Reference) error, tags []string) oci.Digest {
	w.t.Helper()
	h, err := img.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	refs := []string{"@" + h.String()}
	for _, t := range tags {
		refs = append(refs, ":"+t)
	}
	for _, r := range refs {
		ref, err := name.ParseReference(w.host+"/"+repo+r, name.Insecure)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := write(ref); err != nil {
			w.t.Fatal(err)
		}
	}
	d, err := oci.ParseDigest(h.String())
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// tree is a plain manifest with images; destinations are below the host.
func (w *world) tree(destinations []string, images string) *manifest.Tree {
	w.t.Helper()
	text := "registries:\n- {name: " + w.host + "/staging, src: true}\n"
	for _, d := range destinations {
		text += "- {name: " + w.host + "/" + d + "}\n"
	}
	tree, err := manifest.Plain("plain.yaml", []byte(text+"images:\n"+images))
	if err != nil {
		w.t.Fatal(err)
	}
	return tree
}

// entry is a line of an image.
func entry(d oci.Digest, tags ...string) string {
	return fmt.Sprintf("    %q: [%s]\n", d, strings.Join(tags, ", "))
}

func imageOf(name string, entries ...string) string {
	return "- name: " + name + "\n  dmap:\n" + strings.Join(entries, "")
}

// on sets the answer of the registry, and forgets what was asked.
func (w *world) on(answer func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer, w.asked = answer, nil
}

func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.asked...)
}

// google makes a repository's list say which manifests there are.
func (w *world) google(repo string, tags map[string][]string) func(http.ResponseWriter, *http.Request) bool {
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v2/"+repo+"/tags/list" {
			return false
		}
		manifests := map[string]any{}
		var all []string
		for d, names := range tags {
			manifests[d] = map[string]any{"imageSizeBytes": "1", "tag": names}
			all = append(all, names...)
		}
		if err := json.NewEncoder(rw).Encode(map[string]any{"name": repo, "tags": all, "manifest": manifests, "child": []string{}}); err != nil {
			w.t.Error(err)
		}
		return true
	}
}

// run looks, and returns findings as CLASS SUBJECT below the host.
func (w *world) run(tree *manifest.Tree, opt Options) (*Report, []string) {
	w.t.Helper()
	r, err := Run(w.t.Context(), tree, w.regs, opt)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for i := range r.Findings {
		f := &r.Findings[i]
		text := string(f.Class) + " " + strings.TrimPrefix(f.Subject(), w.host+"/")
		if f.Store != "" && f.Repository != "" {
			text += " in " + f.Store
		}
		out = append(out, text)
	}
	return r, out
}
