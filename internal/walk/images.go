package walk

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Blob is what an image refers to.
type Blob struct {
	Digest oci.Digest
	Size   int64 // bytes; -1 when the manifest does not say (schema 1)
}

// Vanished is something that a list of the source names and the source does not have. It is also an error with that
// text.
type Vanished struct {
	Repository string `json:"repository"`
	Reference  string `json:"reference,omitempty"` // a tag or digest; "": the repository itself
}

// String says what of the repository is gone, as part of a message that names the repository.
func (v Vanished) String() string {
	what := "the repository"
	if v.Reference != "" {
		what = v.Reference
		if !strings.Contains(what, ":") {
			what = "tag " + what
		}
	}
	return what + " is listed, and the registry says that there is none"
}

// Error implements error.
func (v *Vanished) Error() string { return v.Repository + ": " + v.String() }

// Image is a manifest with all the blobs that it needs, through its children.
type Image struct {
	Repository string // where it was met first
	Digest     oci.Digest
	Blobs      []Blob
}

// Images walks the whole source and returns every manifest once: indexes, their platforms, artifacts, and referrers.
// What only a list names and is gone is a [Vanished], which is not a failure.
//
// It leaves out blobs that are not to be distributed or are denied, and those of algorithms that stores do not hold.
// An error is about one manifest or one repository, which it names, and the walk goes on. When the source as a whole
// cannot be read, the last pair is that error.
//
// It reads every manifest, with one request each. It holds the needs of all images in memory: some 100 bytes for each
// blob of each image, because an index has the blobs of everything that it lists.
func (s *Source) Images(ctx context.Context) iter.Seq2[Image, error] {
	return func(yield func(Image, error) bool) {
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		v := &collector{src: s, ctx: ctx, out: make(chan found), below: map[Key][]Blob{}, part: map[Key]Image{}}
		w := New(s, v)
		var end error
		var wg sync.WaitGroup
		wg.Go(func() {
			end = w.Walk(ctx, stop)
			w.Wait()
			for _, image := range v.part { // no other reference has helped
				v.give(found{image: image})
			}
			close(v.out)
		})
		defer wg.Wait()
		defer stop(nil)
		for f := range v.out {
			if !yield(f.image, f.err) {
				return
			}
		}
		if end != nil {
			yield(Image{}, end)
		}
	}
}

// found is an image, or what is wrong with one.
type found struct {
	image Image
	err   error
}

// collector is the visitor of [Source.Images].
type collector struct {
	silent
	src *Source
	ctx context.Context // of the walk, for handing over
	out chan found

	mu    sync.Mutex
	below map[Key][]Blob // of manifests that are finished
	part  map[Key]Image  // of which something could not be read
}

func (c *collector) Blob(_ context.Context, n *Node, b registry.Descriptor) {
	if b.Digest.InStores() && !c.src.Denied(b.Digest) {
		n.AddBlob(b)
	}
}

func (c *collector) Problem(repo, ref string, err error) {
	d, _ := oci.ParseDigest(ref) // zero for a tag
	c.give(found{Image{Repository: repo, Digest: d}, fmt.Errorf("%s: %w", strings.TrimSpace(repo+" "+ref), err)})
}

func (c *collector) Gone(repo, ref string) {
	c.give(found{Image{Repository: repo}, &Vanished{repo, ref}})
}

func (c *collector) Finished(n *Node) {
	if n.Void() || n.Failed() {
		return
	}
	seen := map[oci.Digest]bool{}
	var all []Blob
	add := func(b Blob) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			all = append(all, b)
		}
	}
	for _, b := range n.blobs {
		add(b)
	}
	c.mu.Lock()
	for _, child := range n.children {
		for _, b := range c.below[KeyOf(child)] {
			add(b)
		}
	}
	k, image := KeyOf(n.Digest), Image{Repository: n.Repository, Digest: n.Digest, Blobs: all}
	c.below[k] = all
	delete(c.part, k)
	if n.Incomplete() { // it may be walked again, where another repository has it
		c.part[k] = image
	}
	c.mu.Unlock()
	if !n.Incomplete() {
		c.give(found{image: image})
	}
}

func (c *collector) give(f found) {
	select {
	case c.out <- f:
	case <-c.ctx.Done():
	}
}
