package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"

	"ociproxy/internal/oci"
)

// The names of the files of a thin tree.
const (
	ManifestsDir = "manifests"
	ImagesDir    = "images"
	ManifestFile = "promoter-manifest.yaml"
	ImagesFile   = "images.yaml"
)

// Tree is what the manifests say. It is immutable.
type Tree struct {
	Path     string     // what was loaded
	Hash     string     // SHA-256 over the bytes of all files, in hexadecimal
	Projects []*Project // by name
	Warnings []*Fault
	Held     []*Held  // what is left out of Projects, for it has errors; only [Tree.Hold] does so
	Halves   []string // projects that Hold left out, for one of their files is missing

	owners map[string][]*Project // by the name of a destination
	doubt  *doubt                // about what Held may say; nil: none
}

// Project is one source, its destinations and what goes from there to each of them.
type Project struct {
	Name         string // of its directory; "" in a plain manifest
	Source       Registry
	Destinations []Registry
	Images       []*Image // by first mention; each name once
	File         string   // with the registries
	ImagesFile   string   // with the images; the same one in a plain manifest

	sum      [2][sha256.Size]byte // of the files
	noFile   [2]bool              // there is none of this kind, or it cannot be read
	mentions []string             // what a faulty manifest names, as far as it can be told: perhaps destinations
}

// Registry is a registry, or a part of one: a host and perhaps the beginning of a repository's name.
type Registry struct {
	Name           string // host[:port][/path]
	ServiceAccount string // as written; this program takes its credentials from the environment
	Pos
}

// Repository is the full name of an image's repository there: host[:port]/path/image.
func (r Registry) Repository(image string) string { return r.Name + "/" + image }

// Image is a repository below source and destinations, with all that the file says of it, merged.
type Image struct {
	Name    string
	Digests []Promoted // by first mention; each digest once
	Pos                // of the first mention

	unknown []Tag // of digests that cannot be read
}

// Promoted is one digest and the tags it is to have; without tags it is promoted by digest only.
type Promoted struct {
	Digest oci.Digest
	Tags   []Tag // by first mention; each once
	Pos
}

// Tag is a tag as it was spelled.
type Tag struct {
	Name string
	Pos
}

// Pos is a place in the file of whatever has it.
type Pos struct{ Line, Column int32 }

func (p Pos) in(file string) Place { return Place{file, int(p.Line), int(p.Column)} }

// At is the place of something the images' file says.
func (p *Project) At(pos Pos) Place { return pos.in(p.ImagesFile) }

// Edges is the number of promotions: each destination of each tag, and of each digest without one.
func (t *Tree) Edges() (n int64) {
	for _, p := range t.Projects {
		var one int64
		for _, i := range p.Images {
			for _, d := range i.Digests {
				one += int64(max(1, len(d.Tags)))
			}
		}
		n += one * int64(len(p.Destinations))
	}
	return n
}

// Images iterates over all images of all projects.
func (t *Tree) Images() iter.Seq2[*Project, *Image] {
	return func(yield func(*Project, *Image) bool) {
		for _, p := range t.Projects {
			for _, i := range p.Images {
				if !yield(p, i) {
					return
				}
			}
		}
	}
}

// Owner returns the destination that a repository, by its full name, belongs to: of nested destinations the longest.
// image is the rest of the name.
func (t *Tree) Owner(repository string) (destination, image string, ok bool) {
	for at := strings.LastIndexByte(repository, '/'); at > 0; at = strings.LastIndexByte(repository[:at], '/') {
		if len(t.owners[repository[:at]]) > 0 {
			return repository[:at], repository[at+1:], true
		}
	}
	return "", "", false
}

// Owners returns the projects that promote to exactly this destination.
func (t *Tree) Owners(destination string) []*Project { return t.owners[destination] }

func (t *Tree) hash() string {
	h := sha256.New()
	for _, p := range t.Projects {
		fmt.Fprintf(h, "%s\n%x\n%x\n", p.Name, p.sum[0], p.sum[1])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *Tree) index() {
	t.owners = map[string][]*Project{}
	for _, p := range t.Projects {
		for _, d := range p.Destinations {
			t.owners[d.Name] = append(t.owners[d.Name], p)
		}
	}
}
