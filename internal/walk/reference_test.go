package walk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/config"
	"ociproxy/internal/registry"
	"ociproxy/internal/registry/registrytest"
)

// inOrder walks repositories one after the other.
func inOrder(repos ...string) func(*config.Config) {
	return func(c *config.Config) {
		c.Mirror.Repositories.Include, c.Mirror.Repositories.List, c.Mirror.Parallel, c.Mirror.Referrers = nil, repos, 1, true
	}
}

// What one manifest says of another keeps nobody from walking that one: neither its kind, nor its size, nor where it
// should be, nor how deep it lies, nor a name that looks like its own.
func TestLies(t *testing.T) {
	manyAbove := func(r *registrytest.Registry, repo string, d ocispec.Descriptor) {
		for i := range maxDepth {
			tag := ""
			if i == maxDepth-1 {
				tag = "deep"
			}
			d = r.Index(repo, tag, d)
		}
	}
	for name, lie := range map[string]func(r *registrytest.Registry, d ocispec.Descriptor){
		"kind": func(r *registrytest.Registry, d ocispec.Descriptor) {
			d.MediaType = registrytest.Layer
			r.Index("bad", "v1", d)
		},
		"unknown kind": func(r *registrytest.Registry, d ocispec.Descriptor) {
			d.MediaType = "application/vnd.unheard-of"
			r.Index("bad", "v1", d)
		},
		"size":      func(r *registrytest.Registry, d ocispec.Descriptor) { d.Size++; r.Index("bad", "v1", d) },
		"size here": func(r *registrytest.Registry, d ocispec.Descriptor) { d.Size++; r.Index("good", "a", d) },
		"place":     func(r *registrytest.Registry, d ocispec.Descriptor) { r.Index("bad", "v1", d) },
		"subject":   func(r *registrytest.Registry, d ocispec.Descriptor) { r.Artifact("bad", "v1", d, "sig") },
		"depth":     func(r *registrytest.Registry, d ocispec.Descriptor) { manyAbove(r, "good", d) },
		"name": func(r *registrytest.Registry, d ocispec.Descriptor) {
			d.Digest = "other:" + d.Digest[len("sha256:"):]
			r.Index("bad", "v1", d)
		},
	} {
		for _, order := range [][]string{{"bad", "good"}, {"good", "bad"}} {
			t.Run(name+" "+order[0], func(t *testing.T) {
				r := registrytest.New(t, registrytest.Options{Referrers: true})
				names := map[string]ocispec.Descriptor{"amd": r.Image("good", "", "one"), "arm": r.Image("good", "", "two")}
				names["all"] = r.Index("good", "v1", names["amd"], names["arm"])
				r.Image("bad", "fine", "fine")
				lie(r, names["all"])
				v := record(names)
				v.names[registrytest.Sum([]byte("one"))] = "one"
				w, err := v.walk(t, open(t, r, inOrder(order...)))
				if err != nil {
					t.Fatal(err)
				}
				w.Wait()
				for _, image := range []string{"all", "amd", "arm"} {
					n := v.nodes[image]
					if n == nil || n.Incomplete() || n.Repository != "good" {
						t.Errorf("%s: %+v; problems %q", image, n, v.problems)
					}
				}
				if !slices.Contains(v.blobs["amd"], "one") || len(v.nodes["all"].Children()) != 2 {
					t.Errorf("blobs %v", v.blobs)
				}
				wrong := slices.IndexFunc(v.problems, func(p string) bool { return strings.HasPrefix(p, "good all:") })
				if wrong >= 0 {
					t.Errorf("the good index is named: %q", v.problems[wrong])
				}
				if slices.Contains([]string{"size", "size here", "depth", "name"}, name) && len(v.problems) == 0 {
					t.Error("nothing is named")
				}
			})
		}
	}
}

// An image whose manifest one repository does not give is walked where another has it, whichever comes first, and so
// are indexes of it, however often they are met.
func TestOtherRepository(t *testing.T) {
	for _, order := range [][]string{{"bad", "good"}, {"good", "bad"}} {
		for _, digests := range []bool{false, true} {
			r := registrytest.New(t, registrytest.Options{})
			if digests {
				r.Change(func(o *registrytest.Options) { o.Digests = func(string) bool { return true } })
			}
			names := map[string]ocispec.Descriptor{}
			for _, repo := range []string{"bad", "good"} {
				names["amd"], names["arm"] = r.Image(repo, "", "one"), r.Image(repo, "", "two")
				names["all"] = r.Index(repo, "v1", names["amd"], names["arm"])
				names["above"] = r.Index(repo, "above", names["all"])
			}
			r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/v2/bad/manifests/"+string(names["arm"].Digest) {
					rw.WriteHeader(http.StatusForbidden)
					return true
				}
				return false
			})
			v := record(names)
			w, err := v.walk(t, open(t, r, inOrder(order...)))
			if err != nil {
				t.Fatal(err)
			}
			w.Wait()
			for name := range names {
				if n := v.nodes[name]; n == nil || n.Incomplete() {
					t.Errorf("%q, digests %t: %s: %+v; %q", order, digests, name, n, v.problems)
				}
			}
			if order[0] == "bad" && len(v.problems) != 1 {
				t.Errorf("problems %q, want the one of bad", v.problems)
			}
		}
	}
}

// Nobody can name a digest that is taken for another.
func TestKeysOfLiars(t *testing.T) {
	five := "sha512:" + strings.Repeat("0a", 64)
	liars := []string{
		five, "sha256:" + strings.Repeat("8a", 1) + strings.Repeat("0a", 31), "sha256:" + strings.Repeat("0a", 32),
		fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(five))), "other:" + strings.Repeat("0a", 32), "other:" + strings.Repeat("0a", 33),
	}
	seen := map[Key]string{}
	for _, text := range liars {
		k := KeyOf(digest(t, text))
		if seen[k] != "" {
			t.Errorf("%s and %s have the same key", text, seen[k])
		}
		seen[k] = text
	}
}

// What is remembered of references without success is bounded.
func TestTrialsBounded(t *testing.T) {
	g := newGraph()
	g.finished, g.given, g.retry = func(*Node) {}, func(*Node) {}, func(*Node) { t.Error("nobody waits") }
	for i := range maxTrials + 1000 {
		n := &Node{Repository: "bad", Digest: digest(t, registrytest.Sum(fmt.Append(nil, i)))}
		if how, _ := g.enter(n, waiter{}, nil); how != begun {
			t.Fatal(how)
		}
		n.Fail()
		g.release(n)
	}
	if len(g.tried) != maxTrials || g.trials != maxTrials {
		t.Errorf("%d are remembered, %d counted", len(g.tried), g.trials)
	}
	last := &Node{Repository: "bad", Digest: digest(t, registrytest.Sum(fmt.Append(nil, maxTrials+999)))}
	if how, _ := g.enter(last, waiter{}, nil); how != begun {
		t.Errorf("what is not remembered is not tried: %d", how)
	}
	g.release(last)
	g.idle()
}

// That an image is complete says nothing of an index that lists it: with another size, or in a repository that does not
// have it. Such an index is named in each walk.
func TestLiesOfWhatIsKnown(t *testing.T) {
	for name, repo := range map[string]string{"size": "good", "place": "bad"} {
		r := registrytest.New(t, registrytest.Options{})
		names := map[string]ocispec.Descriptor{"amd": r.Image("good", "v1", "one")}
		d := names["amd"]
		if name == "size" {
			d.Size++
		}
		names["index"] = r.Index(repo, "index", d)
		v := record(names)
		v.known = map[string]bool{"amd": true}
		if _, err := v.walk(t, open(t, r, inOrder("good", "bad"))); err != nil {
			t.Fatal(err)
		}
		if n := v.nodes["index"]; n == nil || !n.Incomplete() || len(v.problems) == 0 || !strings.HasPrefix(v.problems[0], repo+" ") {
			t.Errorf("%s: problems %q, finished %q", name, v.problems, v.finished)
		}
	}
}

// Lists whose repositories are all gone look like lost credentials, and not like a source that is complete.
func TestVanished(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	r.Image("a", "v1", "one")
	r.Image("b", "v1", "two")
	hidden := "/v2/"
	r.Fail(func(rw http.ResponseWriter, req *http.Request) bool {
		if !strings.HasPrefix(req.URL.Path, hidden) || !strings.HasSuffix(req.URL.Path, "/tags/list") {
			return false
		}
		rw.WriteHeader(http.StatusNotFound)
		_, _ = rw.Write([]byte(`{"errors":[{"code":"NAME_UNKNOWN"}]}`))
		return true
	})
	if _, err := record(nil).walk(t, open(t, r)); !errors.Is(err, ErrVanished) {
		t.Errorf("all are hidden: %v", err)
	}
	hidden = "/v2/a/"
	if _, err := record(nil).walk(t, open(t, r)); err != nil {
		t.Errorf("one is gone: %v", err)
	}
}

// A time that a registry makes up is none.
func TestArrival(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct{ uploaded, created, want time.Time }{
		{now, now.Add(-time.Hour), now},
		{time.UnixMilli(0), now, now},
		{time.UnixMilli(-1), time.UnixMilli(0), time.Time{}},
		{time.UnixMilli(9999999999999999), time.Time{}, time.Time{}},
		{time.Time{}, time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
	} {
		if got := arrival(registry.Listed{Uploaded: tt.uploaded, Created: tt.created}); !got.Equal(tt.want) {
			t.Errorf("uploaded %v, created %v: %v, want %v", tt.uploaded, tt.created, got, tt.want)
		}
	}
}
