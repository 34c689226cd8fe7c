package existence

import (
	"sync"
	"sync/atomic"

	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

const (
	doubtWindow = 50 // number of recent checks of one store that are examined
	doubtAbsent = 3  // this many absent among them: the inventory is no longer believed
	// maxDenied bounds the remembered digests that a store does not hold against its inventory, over all stores.
	maxDenied = 10_000
)

// Doubts remembers where stores do not hold what their inventories list: single digests, and stores whose inventory
// is wrong too often to be believed. It belongs to the candidates of one list of indices. Safe for concurrent use.
type Doubts struct {
	demoted atomic.Pointer[set.Set]
	some    atomic.Bool // something was denied at some time

	mu     sync.Mutex
	denied map[denial]struct{}
	order  []denial // entries of denied, as a ring once it is full
	at     int
	stores map[int]*doubtedStore
}

type denial struct {
	store  int
	digest oci.Digest
}

type doubtedStore struct {
	recent  [doubtWindow]bool // true: absent
	n, at   int
	content uint64 // identifies what its inventory lists; 0: not known yet
}

// NewDoubts returns an empty Doubts.
func NewDoubts() *Doubts {
	d := &Doubts{denied: map[denial]struct{}{}, stores: map[int]*doubtedStore{}}
	d.demoted.Store(&set.Set{})
	return d
}

// Demoted returns the stores whose inventory is not believed.
func (d *Doubts) Demoted() set.Set { return *d.demoted.Load() }

// Denies reports whether store was found not to hold digest although its inventory lists it.
func (d *Doubts) Denies(store int, digest oci.Digest) bool {
	if !d.some.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.denied[denial{store, digest}]
	return ok
}

// Observe records a store's answer for a digest that its inventory lists. It reports whether that was one absence too
// many: from now on the store is demoted.
func (d *Doubts) Observe(store int, digest oci.Digest, held bool) (demoted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if held {
		delete(d.denied, denial{store, digest})
	} else if !d.deny(denial{store, digest}) {
		return false // known already: one lost object does not count three times
	}
	st := d.store(store)
	st.recent[st.at] = !held
	st.at = (st.at + 1) % doubtWindow
	st.n = min(st.n+1, doubtWindow)
	absent := 0
	for _, a := range st.recent[:st.n] {
		if a {
			absent++
		}
	}
	if absent < doubtAbsent || d.demoted.Load().Has(store) {
		return false
	}
	next := d.Demoted()
	next.Add(store)
	d.demoted.Store(&next)
	return true
}

// deny remembers k and reports whether it is new.
func (d *Doubts) deny(k denial) bool {
	d.some.Store(true)
	if _, ok := d.denied[k]; ok {
		return false
	}
	if len(d.order) < maxDenied {
		d.order = append(d.order, k)
	} else {
		delete(d.denied, d.order[d.at])
		d.order[d.at] = k
		d.at = (d.at + 1) % maxDenied
	}
	d.denied[k] = struct{}{}
	return true
}

// Moved returns the same knowledge for other indices: to returns a store's new index, and whether the store still
// exists.
func (d *Doubts) Moved(to func(store int) (int, bool)) *Doubts {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := NewDoubts()
	demoted, now := d.Demoted(), set.Set{}
	for i, st := range d.stores {
		if j, ok := to(i); ok {
			copied := *st
			next.stores[j] = &copied
			if demoted.Has(i) {
				now.Add(j)
			}
		}
	}
	for k := range d.denied {
		if j, ok := to(k.store); ok {
			next.deny(denial{j, k.digest})
		}
	}
	next.demoted.Store(&now)
	return next
}

func (d *Doubts) store(i int) *doubtedStore {
	st := d.stores[i]
	if st == nil {
		st = &doubtedStore{}
		d.stores[i] = st
	}
	return st
}

// Rewritten takes, at regular intervals, a number for the content of a store's inventory (0: not known). A different
// number means that the store's mirror has been at work: earlier findings no longer count. It reports whether the
// store was demoted and is believed again.
func (d *Doubts) Rewritten(store int, content uint64) (believed bool) {
	if content == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.store(store)
	was := st.content
	st.content = content
	if was == 0 || was == content {
		return false
	}
	d.stores[store] = &doubtedStore{content: content}
	for k := range d.denied {
		if k.store == store {
			delete(d.denied, k)
		}
	}
	next := d.Demoted()
	believed = next.Has(store)
	next.Remove(store)
	d.demoted.Store(&next)
	return believed
}

// Len returns how many denials are remembered.
func (d *Doubts) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.denied)
}
