package walk

import (
	"slices"
	"sync"

	"ociproxy/internal/oci"
)

// These bounds limit what a walk remembers of references that failed or wait for another. Anyone who may push can
// make many. References beyond the bounds are not tried in this walk, or tried once more than necessary.
const (
	maxTrials = 100_000
	maxOthers = 100_000
)

// standing is the state of a manifest that something refers to.
type standing uint8

const (
	begun   standing = iota // the caller works on it
	busy                    // somebody does: the parent waits
	done                    // it was walked
	wasted                  // it was walked by this reference or a like one, without success
	isBlob                  // the index lists it, but it is no manifest in this repository
	absent                  // the index lists it, but this repository does not have it
	tooMuch                 // it does not fit below what is being walked
)

// trial is a reference that was not enough to read all of a manifest.
type trial struct {
	repository string
	depth      int // below this the repository is worth another try; 0: nowhere
}

// other is what a manifest turned out to be in one repository.
type other struct {
	repository string
	blob       bool // an index lists it, but it is none; else it is not there
}

// notRead stands for the size of a manifest that needs no work.
const notRead = -1

// graph makes sure that a walk reads each manifest only once, and tells indexes when their manifests are finished.
//
// What a manifest's content says is the same everywhere, so the graph remembers it for the manifest. That it, or
// something below it, could not be read is remembered for the repository where that happened: the walk tries another
// reference when this one has failed, or when another one comes.
type graph struct {
	finished func(*Node)                  // called for each node, when nothing of it is on its way any more
	given    func(*Node)                  // called in its place for a node that makes room for another reference
	retry    func(*Node)                  // begins the work on a manifest by another reference; must not block
	sized    func(waiter, int64)          // tells an index how large a manifest is that it lists
	missing  func(parent *Node, of *Node) // tells an index that a manifest that it lists is not there

	mu     sync.Mutex
	ended  *sync.Cond // no node is in work
	work   map[Key]*Node
	known  map[Key]int32 // sizes of manifests that were walked; 0: not known; or notRead
	tried  map[Key][]trial
	trials int
	others map[Key]other
	queued int // nodes that wait for others of the same manifest
	noted  int64
}

func newGraph() *graph {
	g := &graph{work: map[Key]*Node{}, known: map[Key]int32{}, tried: map[Key][]trial{}, others: map[Key]other{}}
	g.ended = sync.NewCond(&g.mu)
	return g
}

// enter begins the work on a manifest through n, unless that is not needed. by is the parent that waits for it, if
// there is one. enter calls fits before it begins anything; nil is true. With done, size is the manifest's size, 0
// when it is not known.
func (g *graph) enter(n *Node, by waiter, fits func() bool) (_ standing, size int64) {
	k := KeyOf(n.Digest)
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.work[k]; at != nil {
		return g.join(k, at, n, by), 0
	}
	known, walked := g.known[k]
	if known == notRead && by.parent != nil { // it was not read: whether an index says the truth of it is not known
		walked = false
	}
	if walked {
		switch {
		case len(g.tried[k]) == 0:
			return done, int64(known)
		case g.wasted(k, n):
			return wasted, int64(known)
		}
	}
	if o, ok := g.others[k]; ok && o.repository == n.Repository {
		switch {
		case o.blob && by.parent != nil:
			return isBlob, 0
		case !o.blob && n.aside:
			return done, 0
		case !o.blob && by.parent != nil: // it was asked for, and is not asked for again
			return absent, 0
		}
	}
	if fits != nil && !fits() {
		return tooMuch, 0
	}
	if delete(g.known, k); known == notRead {
		g.noted--
	}
	n.again = walked
	n.pending.Store(1) // until it is read
	n.wait(by)
	g.work[k] = n
	return begun, 0
}

// join makes a reference wait for a manifest that is already being worked on.
func (g *graph) join(k Key, at, n *Node, by waiter) standing {
	for ; ; at = at.next {
		if at.covers(n) {
			at.wait(by)
			return busy
		}
		if at.next == nil {
			break
		}
	}
	switch {
	case g.wasted(k, n):
		return wasted
	case g.queued >= maxOthers:
		at.wait(by)
	default:
		g.queued++
		at.next = n
		n.wait(by)
	}
	return busy
}

// wait lets an index wait for n; the graph's lock is held.
func (n *Node) wait(by waiter) {
	if by.parent != nil {
		by.parent.pending.Add(1)
		n.waiting = append(n.waiting, by)
	}
}

// wasted reports whether a manifest was already tried by a reference like n, without success.
func (g *graph) wasted(k Key, n *Node) bool {
	return slices.ContainsFunc(g.tried[k], func(t trial) bool {
		return t.repository == n.Repository && (t.depth == 0 || t.depth <= n.depth)
	})
}

// try remembers that n failed. It returns false when there is no room for that.
func (g *graph) try(k Key, n *Node) bool {
	if g.trials >= maxTrials {
		return false
	}
	g.trials++
	t := trial{repository: n.Repository}
	if n.nested.Load() {
		t.depth = n.depth
	}
	g.tried[k] = append(g.tried[k], t)
	return true
}

// note remembers a manifest that needs no work. It returns false when it was known already, or is being worked on.
func (g *graph) note(d oci.Digest) bool {
	k := KeyOf(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.known[k]; ok || g.work[k] != nil {
		return false
	}
	g.known[k] = notRead
	g.noted++
	return true
}

// seen reports whether a manifest was entered or noted.
func (g *graph) seen(d oci.Digest) bool {
	k := KeyOf(d)
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.known[k]
	return ok || g.work[k] != nil
}

// abandon ends the work on something that is not a manifest in its repository, and returns the indexes that wait for
// it there.
func (g *graph) abandon(n *Node) []waiter {
	g.mu.Lock()
	k := KeyOf(n.Digest)
	g.others[k] = other{repository: n.Repository, blob: true}
	n.void.Store(true)
	next := g.replace(k, n)
	if next == nil {
		g.leave(k)
	}
	g.mu.Unlock()
	if next != nil {
		g.retry(next)
	}
	return n.waiting
}

// replace puts the next reference in n's place, if n failed and there is one.
func (g *graph) replace(k Key, n *Node) *Node {
	next := n.next
	if next == nil || !n.Incomplete() {
		return nil
	}
	g.queued--
	n.next = nil
	next.pending.Store(1)
	next.again = n.again
	g.work[k] = next
	return next
}

// leave takes a manifest out of the work.
func (g *graph) leave(k Key) {
	delete(g.work, k)
	if len(g.work) == 0 {
		g.ended.Broadcast()
	}
}

// release ends one thing that n waits for. After the last one n finishes, or gives way to another reference.
func (g *graph) release(n *Node) {
	if n.pending.Add(-1) > 0 {
		return
	}
	k := KeyOf(n.Digest)
	g.mu.Lock()
	kept := !n.Incomplete() || n.void.Load() || g.try(k, n)
	next := g.replace(k, n)
	g.mu.Unlock()
	if next != nil {
		g.given(n)
	} else {
		g.finished(n)
	}
	g.mu.Lock()
	if next == nil { // one may have come meanwhile
		if next = g.replace(k, n); next != nil {
			next.again = true
		}
	}
	waiting := n.waiting
	if next == nil {
		waiting = append(waiting, g.settle(k, n, kept)...)
	}
	g.mu.Unlock()
	for _, w := range waiting {
		g.tell(w, n)
	}
	if next != nil {
		g.retry(next)
	}
}

// settle ends the work on a manifest, and returns the references that waited for it. It forgets a failure that could
// not be remembered: then the next reference tries the manifest.
func (g *graph) settle(k Key, n *Node, kept bool) (waiting []waiter) {
	if n.void.Load() {
		g.others[k] = other{repository: n.Repository}
	}
	if kept && !n.void.Load() || n.again {
		g.known[k] = int32(n.Size)
	}
	if !n.Incomplete() {
		g.trials -= len(g.tried[k])
		delete(g.tried, k)
	}
	for o := n.next; o != nil; o = o.next {
		g.queued--
		waiting = append(waiting, o.waiting...)
	}
	g.leave(k)
	return waiting
}

// tell lets an index that waited for n go on.
func (g *graph) tell(w waiter, n *Node) {
	switch {
	case n.void.Load():
		g.missing(w.parent, n)
	case n.failed.Load(), n.spoilt.Load():
		w.parent.Spoil()
		if n.nested.Load() {
			w.parent.nested.Store(true)
		}
	}
	if n.Size > 0 {
		g.sized(w, n.Size)
	}
	g.release(w.parent)
}

// counts returns how many manifests were met, and how many of them needed no work.
func (g *graph) counts() (met, noted int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(len(g.known) + len(g.work)), g.noted
}

// idle waits until no node is in work.
func (g *graph) idle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.work) > 0 {
		g.ended.Wait()
	}
}
