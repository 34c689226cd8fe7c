package mirror

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ociproxy/internal/targets"
)

// thing is an image or an index of a random source.
type thing struct {
	d        ocispec.Descriptor
	blobs    []string
	children []string // digests
	lies     bool
}

// oracle says by definition what a source can give: a manifest that some repository lists, by a tag or by an index
// that it gives, and gives itself, with all that it needs; a blob of such a one that the same repository gives.
type oracle struct {
	things  map[string]*thing
	tagged  map[[2]string]bool // by repository and digest
	refused map[[2]string]bool
	repos   []string
}

func (o *oracle) good() (manifests, blobs map[string]bool) {
	met := map[[2]string]bool{}
	var meet func(repo, d string)
	meet = func(repo, d string) {
		if at := [2]string{repo, d}; !met[at] && !o.refused[at] {
			met[at] = true
			for _, c := range o.things[d].children {
				meet(repo, c)
			}
		}
	}
	for at := range o.tagged {
		meet(at[0], at[1])
	}
	manifests, blobs = map[string]bool{}, map[string]bool{}
	for at := range met {
		for _, b := range o.things[at[1]].blobs {
			if !o.refused[[2]string{at[0], b}] {
				blobs[b] = true
			}
		}
	}
	for again := true; again; {
		again = false
		for at := range met {
			t, whole := o.things[at[1]], true
			for _, b := range t.blobs {
				whole = whole && blobs[b]
			}
			for _, c := range t.children {
				whole = whole && manifests[c]
			}
			if whole && !t.lies && !manifests[at[1]] {
				manifests[at[1]], again = true, true
			}
		}
	}
	return manifests, blobs
}

// Whatever repositories refuse, and whatever sizes are stated: what some way leads to is complete after a few passes,
// nothing else is, and one pass brings every blob that the source gives to anybody.
func TestRandomReferences(t *testing.T) {
	for round := range 25 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(round), 11))
			w := newWorld(t, 1)
			o := &oracle{things: map[string]*thing{}, tagged: map[[2]string]bool{}, refused: map[[2]string]bool{}, repos: []string{"a", "b", "c", "d"}}
			var all []string
			for i := range 4 + rnd.IntN(12) {
				made := &thing{}
				layers := []string{fmt.Sprint("layer", rnd.IntN(4)), fmt.Sprint("own", i)}
				var children []ocispec.Descriptor
				if len(all) > 0 && rnd.IntN(3) == 0 {
					for range 1 + rnd.IntN(3) {
						c := o.things[all[rnd.IntN(len(all))]]
						children, made.children = append(children, c.d), append(made.children, string(c.d.Digest))
					}
				}
				made.lies = children == nil && rnd.IntN(5) == 0
				for _, repo := range o.repos {
					switch m := w.ImageManifest(repo, layers...); {
					case children != nil:
						made.d = w.Put(repo, "", ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: children, Annotations: map[string]string{"i": fmt.Sprint(i)}})
					default:
						if made.lies {
							m.Layers[0].Size += int64(1 + i)
						}
						made.d = w.Put(repo, "", m)
						made.blobs = []string{string(m.Config.Digest), sumOf(layers[0]), sumOf(layers[1])}
					}
				}
				d := string(made.d.Digest)
				o.things[d], all = made, append(all, d)
				for _, repo := range o.repos {
					if rnd.IntN(3) == 0 {
						w.PutRaw(repo, fmt.Sprint("t", i), w.Manifest(repo, d))
						o.tagged[[2]string{repo, d}] = true
					}
					for _, x := range append([]string{d}, made.blobs...) {
						if rnd.IntN(4) == 0 {
							o.refused[[2]string{repo, x}] = true
						}
					}
				}
			}
			w.Fail(func(rw http.ResponseWriter, r *http.Request) bool {
				repo, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
				_, ref, _ := strings.Cut(rest, "/")
				if d := w.Digest(repo, ref); d != "" {
					ref = d
				}
				if !o.refused[[2]string{repo, ref}] {
					return false
				}
				rw.WriteHeader(http.StatusNotFound)
				return true
			})
			manifests, blobs := o.good()
			r := w.pass(Options{})
			held := w.held(0)
			for b := range blobs {
				if _, ok := held[b]; !ok {
					t.Errorf("blob %s is given by somebody, and not there", b)
				}
			}
			if len(held) != len(blobs) {
				t.Errorf("%d blobs, want %d", len(held), len(blobs))
			}
			for range 4 {
				r = w.pass(Options{})
			}
			f, err := targets.Open(t.Context(), w.config(), targets.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				if got := f.Ledger.Complete(0, digest(t, d)); got != manifests[d] {
					t.Errorf("%s: complete %t, want %t; %+v", d, got, manifests[d], r.Problems)
				}
			}
			if err := f.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := r.Stores[0]; s.Incomplete < 0 || r.Images.Failed < 0 {
				t.Errorf("counted too often: %+v", r)
			}
		})
	}
}
