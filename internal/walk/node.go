package walk

import (
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Node is a manifest in work: it is read, or waits for what holds it or for manifests below it. Its methods may be called from several
// goroutines.
type Node struct {
	Repository string // where it was met first
	Digest     oci.Digest
	At         time.Time // when the source got it, as far as it says
	Size       int64     // of the manifest; 0 until it is read

	root    bool        // listed by the source, not only by an index
	ask     bool        // what refers to it is not in the list
	void    atomic.Bool // there is no such manifest, and nothing is wrong with that
	failed  atomic.Bool // something of it could not be read
	partial atomic.Bool // something of it is denied: it is never complete
	pending atomic.Int32
	waiting []*Node // indexes that have it; guarded by graph.mu

	mu       sync.Mutex
	blobs    []Blob
	children []oci.Digest // manifests
}

// Hold keeps n from finishing until [Walker.Release] is called once more. Only who is being told of n, or holds it, may call it.
func (n *Node) Hold() { n.pending.Add(1) }

// Fail notes that something of n could not be read.
func (n *Node) Fail() { n.failed.Store(true) }

// Failed says that something of n could not be read.
func (n *Node) Failed() bool { return n.failed.Load() }

// Deny notes that something of n is denied: it is never complete.
func (n *Node) Deny() { n.partial.Store(true) }

// Partial says that something of n is denied. What is denied below it is noted there only.
func (n *Node) Partial() bool { return n.partial.Load() }

// Void says that there is no such manifest, and that nothing is wrong with that.
func (n *Node) Void() bool { return n.void.Load() }

// AddBlob remembers a blob as one that belongs to n.
func (n *Node) AddBlob(b registry.Descriptor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blobs = append(n.blobs, Blob{b.Digest, b.Size}) // not its annotations: many thousand manifests may wait
}

// Blobs are those that were added. They are complete, and must not be changed, once n has finished.
func (n *Node) Blobs() []Blob { return n.blobs }

// Children are the manifests that n lists, but for denied ones. They are complete, and must not be changed, once n has finished.
func (n *Node) Children() []oci.Digest { return n.children }

func (n *Node) addChild(d oci.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.children = append(n.children, d)
}

// notChild takes back that d is a manifest.
func (n *Node) notChild(d oci.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.children = slices.DeleteFunc(n.children, func(c oci.Digest) bool { return c == d })
}

// Key is a digest in 32 bytes: millions of them are remembered in a walk.
type Key [32]byte

// KeyOf makes the key of a digest. Different digests have different keys, as far as anybody can tell.
func KeyOf(d oci.Digest) (k Key) {
	// Digests in stores are hexadecimal; half of a sha512 is as good as a sha256.
	if text := d.Hex(); len(text) >= 64 {
		if _, err := hex.Decode(k[:], []byte(text[:64])); err == nil {
			if d.Algorithm() == "sha512" {
				k[0] ^= 0x80
			}
			return k
		}
	}
	copy(k[:], d.String()) // nothing that stores have
	return k
}

// kind is what was learned of a digest in a walk.
type kind uint8

const (
	isManifest kind = iota + 1
	isBlob          // an index lists it, but it is none
)

// graph keeps each manifest from being read twice in a walk, and tells indexes when what they list is finished.
type graph struct {
	finished func(*Node) // called once for each node, when nothing of it is on its way any more

	mu    sync.Mutex
	work  map[Key]*Node
	known map[Key]kind
	noted int64
}

func newGraph(finished func(*Node)) *graph {
	return &graph{finished: finished, work: map[Key]*Node{}, known: map[Key]kind{}}
}

// enter begins the work on a manifest. It returns nil when that was done already, as the kind says, or is being done: then parent, if
// there is one, waits for it.
func (g *graph) enter(n, parent *Node) (*Node, kind) {
	k := KeyOf(n.Digest)
	g.mu.Lock()
	defer g.mu.Unlock()
	if what := g.known[k]; what != 0 {
		return nil, what
	}
	if other := g.work[k]; other != nil {
		if parent != nil {
			parent.pending.Add(1)
			other.waiting = append(other.waiting, parent)
		}
		return nil, 0
	}
	n.pending.Store(1) // until it is read
	if parent != nil {
		parent.pending.Add(1)
		n.waiting = append(n.waiting, parent)
	}
	g.work[k] = n
	return n, 0
}

// note remembers a manifest that needs no work. It is false when it was known already, or is being worked on.
func (g *graph) note(d oci.Digest) bool {
	k := KeyOf(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known[k] != 0 || g.work[k] != nil {
		return false
	}
	g.known[k] = isManifest
	g.noted++
	return true
}

// seen says whether a manifest was entered or noted.
func (g *graph) seen(d oci.Digest) bool {
	k := KeyOf(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known[k] != 0 || g.work[k] != nil
}

// abandon ends the work on what turned out to be a blob, and returns those who wait for it.
func (g *graph) abandon(n *Node) []*Node {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := KeyOf(n.Digest)
	delete(g.work, k)
	g.known[k] = isBlob
	return n.waiting
}

// release ends one thing that n was waiting for.
func (g *graph) release(n *Node) {
	if n.pending.Add(-1) > 0 {
		return
	}
	g.finished(n)
	g.mu.Lock()
	k := KeyOf(n.Digest)
	delete(g.work, k)
	g.known[k] = isManifest
	waiting := n.waiting
	g.mu.Unlock()
	for _, parent := range waiting {
		g.release(parent)
	}
}

// counts returns how many manifests were met, and how many of them needed no work.
func (g *graph) counts() (met, noted int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(len(g.known) + len(g.work)), g.noted
}

// Release ends one thing that held n. With the last one n finishes, and so may those who wait for it.
func (w *Walker) Release(n *Node) { w.graph.release(n) }

// Counts returns how many manifests were met, and how many of them the visitor knew.
func (w *Walker) Counts() (met, known int64) { return w.graph.counts() }
