package walk

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Node is a manifest in work by one reference to it. It is being read in one repository, or waits for its holders or
// for manifests below it. Several goroutines may call its methods.
type Node struct {
	Repository string // where it was met
	Digest     oci.Digest
	At         time.Time // when the source got it, as far as it says
	Size       int64     // of the manifest; 0 until it is read

	root   bool                 // it has one of the places for listed manifests
	ask    bool                 // what refers to it is not in the list
	listed bool                 // only a list of the source names it: it may be gone since
	tag    string               // that the source has just resolved to it; "": none
	from   *registry.Descriptor // what the first index says that lists it; nil: none does
	aside  bool                 // something else is about it, or it about something else: it need not be there
	depth  int                  // how far below a listed manifest
	top    *Node                // the listed manifest; nil: it is that itself

	void    atomic.Bool // there is no such manifest, and nothing is wrong with that
	failed  atomic.Bool // it could not be read, or what it says is wrong
	spoilt  atomic.Bool // something of it or below it is not to be had by way of this reference
	nested  atomic.Bool // of these reasons one is that it lies too deep
	deep    atomic.Bool // that was said, of a listed manifest
	partial atomic.Bool // something of it is denied: it is never complete
	pending atomic.Int32

	// Guarded by graph.mu.
	waiting []waiter // indexes that have it
	next    *Node    // another reference to it, tried when this one is without success
	again   bool     // it finished before, by another reference, without success

	mu       sync.Mutex
	blobs    []Blob
	children []oci.Digest // manifests
}

// waiter is an index that waits for a manifest, and how it lists it.
type waiter struct {
	parent *Node
	lists  registry.Descriptor
}

// Hold keeps n from finishing until [Walker.Release] is called once more. Call it only from a visitor's method that
// gets n, or while holding n.
func (n *Node) Hold() { n.pending.Add(1) }

// Fail notes that n could not be read, or that its content is wrong.
func (n *Node) Fail() { n.failed.Store(true) }

// Failed reports whether n could not be read, or its content is wrong.
func (n *Node) Failed() bool { return n.failed.Load() }

// Spoil notes that its repository does not deliver something that n needs. Another repository that has n may deliver
// it: then the walker walks n again, there.
func (n *Node) Spoil() { n.spoilt.Store(true) }

// Again reports whether a node of the same manifest finished before, without success, as part of another repository.
func (n *Node) Again() bool { return n.again }

// Incomplete reports whether the reference was not enough to read all of the manifest. When another reference comes, the
// walker walks a node of the same manifest.
func (n *Node) Incomplete() bool { return n.failed.Load() || n.spoilt.Load() || n.void.Load() }

// covers reports whether o need not be tried when n was.
func (n *Node) covers(o *Node) bool { return n.Repository == o.Repository && n.depth <= o.depth }

// Deny notes that something of n is denied: it is never complete.
func (n *Node) Deny() { n.partial.Store(true) }

// Partial reports whether something of n is denied. Denied content below n is noted only there.
func (n *Node) Partial() bool { return n.partial.Load() }

// Void reports whether there is no such manifest, and that is not a fault.
func (n *Node) Void() bool { return n.void.Load() }

// AddBlob remembers a blob as one that belongs to n.
func (n *Node) AddBlob(b registry.Descriptor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blobs = append(n.blobs, Blob{b.Digest, b.Size}) // not its annotations: many thousand manifests may wait
}

// Blobs returns the blobs that were added. They are complete once n has finished; then do not change them.
func (n *Node) Blobs() []Blob { return n.blobs }

// Children returns the manifests that n lists, without denied ones. They are complete once n has finished; then do
// not change them.
func (n *Node) Children() []oci.Digest { return n.children }

func (n *Node) addChild(d oci.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.children = append(n.children, d)
}

// notChild removes d from the children, because it is not a manifest.
func (n *Node) notChild(d oci.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.children = slices.DeleteFunc(n.children, func(c oci.Digest) bool { return c == d })
}

// Key is a digest in 33 bytes: millions of them are remembered in a walk.
type Key [33]byte

// KeyOf makes the key of a digest. Different digests have different keys, even digests that were made up: manifests
// may name what does not exist. So a sha256 keeps its bytes, and the last byte distinguishes any other digest from
// all of them.
func KeyOf(d oci.Digest) (k Key) {
	if text, ok := strings.CutPrefix(d.String(), "sha256:"); ok && len(text) == 64 {
		if _, err := hex.Decode(k[:32], []byte(text)); err == nil {
			return k
		}
	}
	sum := sha256.Sum256([]byte(d.String()))
	copy(k[:], sum[:])
	k[32] = 1
	return k
}
