package mirror

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry/registrytest"
	"ociproxy/internal/shard"
)

// stating pushes an image whose first layer is "shared", and which states another size of it.
func (w *world) stating(repo, tag string, size int64) ocispec.Descriptor {
	m := w.ImageManifest(repo, "shared", "own of "+repo+tag)
	m.Layers[0].Size = size
	return w.Put(repo, tag, m)
}

// named says that a report names a problem of an image.
func named(r *Report, repo string, d ocispec.Descriptor) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Repository == repo && p.Reference == string(d.Digest) })
}

// refuseBlob makes blobs unavailable in a repository, with a status; 200 gives other bytes.
func (w *world) refuseBlob(status int, digest string, repos ...string) {
	w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
		for _, repo := range repos {
			if strings.HasPrefix(r.URL.Path, "/v2/"+repo+"/blobs/") && strings.HasSuffix(r.URL.Path, digest) {
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte("SHARED"))
				return true
			}
		}
		return false
	})
}

// An image that states a wrong size of a layer is named, and never complete. It keeps the layer from nobody, wherever
// it comes in the walk, however often, and whether the registry says how large its blobs are or not.
func TestStatedSize(t *testing.T) {
	const huge = oci.MaxBlob
	for _, silent := range []bool{false, true} {
		for _, bad := range []string{"aaa", "zzz", "good"} {
			for _, sizes := range [][]int64{{0}, {1}, {5}, {7}, {1 << 20}, {huge}, {huge, 0, 7, 5, 3}} {
				t.Run(fmt.Sprint("silent=", silent, " ", bad, sizes), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, 2)
					if silent {
						w.Fail(chunked(w))
					}
					var lies []ocispec.Descriptor
					for i, size := range sizes {
						lies = append(lies, w.stating(bad, fmt.Sprint("a", i), size))
					}
					good := w.Image("good", "v1", "shared", "good")
					for range 2 {
						r := w.pass(Options{})
						if r.Result != Partial || r.Images.Complete != 1 || r.Errors[SourceInvalid] != int64(len(lies)) || len(r.Errors) != 1 {
							t.Fatalf("%+v", r)
						}
						for _, d := range lies {
							if !named(r, bad, d) {
								t.Errorf("%s is not named: %+v", d.Digest, r.Problems)
							}
						}
						if named(r, "good", good) {
							t.Errorf("the good image is named: %+v", r.Problems)
						}
					}
					w.wantSame(3 + 2*len(lies))
				})
			}
		}
	}
}

// chunked answers as the registry does, without saying how large blobs are.
func chunked(w *world) registrytest.Fault {
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		if r.Method == http.MethodHead || r.Header.Get("Range") != "" {
			rw.WriteHeader(http.StatusNotImplemented)
			return true
		}
		repo, digest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		_, _ = rw.Write(w.BlobOf(repo, digest))
		return true
	}
}

// A repository that does not give a blob keeps it from no image of another one; what it does is said.
func TestRefusingRepository(t *testing.T) {
	for _, status := range []int{401, 403, 404, 500, 200} {
		for _, bad := range []string{"aaa", "zzz"} {
			if bad == "zzz" && status != 403 && status != 404 {
				continue // these take their time
			}
			t.Run(fmt.Sprint(status, " ", bad), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 2)
				image := w.Image(bad, "v1", "shared", "bad")
				w.Image("good", "v1", "shared", "good")
				w.refuseBlob(status, sumOf("shared"), bad)
				r := w.pass(Options{})
				if r.Images.Complete != 2 { // the blob is there, whoever had it
					t.Fatalf("%+v", r)
				}
				if bad == "aaa" && r.Result == Partial && !named(r, bad, image) { // good may have been first
					t.Errorf("%+v", r.Problems)
				}
				w.wantSame(5)
				if r := w.pass(Options{}); r.Result != Done || r.Images.Known != 2 {
					t.Errorf("second pass: %+v", r)
				}
			})
		}
	}
}

// When nobody gives a blob, every image that needs it is named.
func TestAllAffectedNamed(t *testing.T) {
	w := newWorld(t, 2)
	images := map[string]ocispec.Descriptor{}
	for _, repo := range []string{"a", "b", "c"} {
		images[repo] = w.Image(repo, "v1", "shared", repo)
	}
	w.refuseBlob(403, sumOf("shared"), "a", "b", "c")
	r := w.pass(Options{})
	if r.Result != Partial || r.Errors[SourceDenied] != 3 || r.Blobs.Failed == 0 {
		t.Fatalf("%+v", r)
	}
	if n := count(w.Asked(), "GET", sumOf("shared")); n != 3 {
		t.Errorf("%d requests for the blob, want one a repository: each said no", n)
	}
	for repo, d := range images {
		if !named(r, repo, d) {
			t.Errorf("%s is not named: %+v", repo, r.Problems)
		}
	}
}

// The same image in two repositories, of which one does not give a layer, or not the manifest that an index lists: it
// is walked in the other.
func TestSameImageTwice(t *testing.T) {
	for _, part := range []string{"layer", "manifest"} {
		for _, bad := range []string{"aaa", "zzz"} {
			t.Run(part+" "+bad, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1)
				var child ocispec.Descriptor
				for _, repo := range []string{bad, "good"} {
					child = w.Image(repo, "", "shared", "one")
					w.Index(repo, "v1", child, w.Image(repo, "", "shared", "two"))
				}
				if part == "layer" {
					w.refuseBlob(403, sumOf("shared"), bad)
				} else {
					w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
						if strings.HasPrefix(r.URL.Path, "/v2/"+bad+"/") && strings.HasSuffix(r.URL.Path, string(child.Digest)) {
							rw.WriteHeader(http.StatusForbidden)
							return true
						}
						return false
					})
				}
				r := w.pass(Options{})
				if r.Images.Complete != 3 || r.Images.Failed != 0 || r.Stores[0].Incomplete != 0 {
					t.Fatalf("%+v", r)
				}
				w.wantSame(5)
			})
		}
	}
}

// A good reference that comes while a bad one is on its way is tried when that has failed, and the other way round.
func TestReferencesMeet(t *testing.T) {
	for _, first := range []string{"aaa", "good"} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t, 2)
			w.stating("aaa", "v1", 5)
			w.Image("good", "v1", "shared")
			w.refuseBlob(403, sumOf("shared"), "denied")
			w.Image("denied", "v1", "shared", "denied")
			var once sync.Once
			met := make(chan struct{})
			w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
				switch repo, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/"); {
				case repo == "denied" && strings.HasSuffix(r.URL.Path, sumOf("shared")):
					rw.WriteHeader(http.StatusForbidden)
					return true
				case repo == first && strings.HasSuffix(r.URL.Path, sumOf("shared")):
					<-met // until the others have come
				case repo != first && strings.Contains(r.URL.Path, "/manifests/"):
					if first == "aaa" && repo == "good" || first == "good" && repo == "aaa" {
						once.Do(func() { close(met) })
					}
				}
				return false
			})
			cfg := w.config()
			cfg.Mirror.Repositories.Include = nil
			cfg.Mirror.Repositories.List = []string{first, "denied", map[string]string{"aaa": "good", "good": "aaa"}[first]}
			r := w.passOf(t.Context(), cfg, Options{})
			if r.Images.Complete != 2 || r.Errors[SourceInvalid] != 1 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

// Each shard names what is wrong, and none takes an image with a wrong size for complete.
func TestStatedSizeInShards(t *testing.T) {
	w := newWorld(t, 1)
	w.stating("aaa", "v1", 5)
	w.Image("good", "v1", "shared", "good")
	cfg := w.config()
	for range 2 {
		for i := range 3 {
			w.passOf(t.Context(), cfg, Options{Shard: shard.Shard{Index: i, Of: 3}})
		}
	}
	r := w.passOf(t.Context(), cfg, Options{})
	if r.Images.Known != 1 || r.Images.Complete != 1 || r.Errors[SourceInvalid] != 1 {
		t.Errorf("%+v", r)
	}
}

// Thousands of bad references to one layer keep it from nobody.
func TestManyBadReferences(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 500 {
		w.stating("aaa", fmt.Sprint("v", i), int64(i%300)+7)
	}
	w.Image("good", "v1", "shared", "good")
	w.Asked()
	r := w.pass(Options{})
	if r.Images.Complete != 1 || r.Errors[SourceInvalid] != 500 || len(r.Problems) > maxProblems {
		t.Fatalf("%d complete, errors %v", r.Images.Complete, r.Errors)
	}
	if n := count(w.Asked(), "GET", sumOf("shared")); n > 3 {
		t.Errorf("the layer was asked for %d times", n)
	}
}

// Who states gigabytes takes no room from the others: the source is asked first.
func TestUnheardOfSize(t *testing.T) {
	w := newWorld(t, 1)
	w.stating("aaa", "v1", 2<<30)
	w.Asked()
	w.pass(Options{})
	log := w.Asked()
	if heads, gets := count(log, "HEAD", sumOf("shared")), count(log, "GET", "/blobs/"+sumOf("shared")); heads != 1 || gets != 1 {
		t.Errorf("%d HEAD and %d GET of the layer:\n%s", heads, gets, strings.Join(log, "\n"))
	}
}
