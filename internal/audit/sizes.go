package audit

import (
	"cmp"
	"slices"
	"sync"
)

// Misstated is an image whose manifest states a wrong size for a blob. Clients that check sizes refuse the image,
// whatever the stores have. Only a new manifest helps.
type Misstated struct {
	Repository string `json:"repository"`
	Image      string `json:"image"`
	Digest     string `json:"digest"` // of the blob
	States     int64  `json:"states"`
	Is         int64  `json:"is"` // -1: manifests disagree, and nothing that was checked shows which is right
}

// claim is the size that one image states for a blob, if it differs from the first stated size.
type claim struct {
	image int32
	size  int64
}

// truths are the real sizes of blobs, as far as stores show them; manifests may state wrong ones. It is safe for
// concurrent use.
type truths struct {
	mu     sync.Mutex
	sizes  map[int32]int64 // by blob; notKnown: stores disagree
	proven map[int32]bool  // by the bytes
}

// learn takes the true size of a blob: the bytes prove it, or a manifest and a store agree on it.
func (t *truths) learn(blob int32, size int64, proven bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sizes == nil {
		t.sizes, t.proven = map[int32]int64{}, map[int32]bool{}
	}
	was, known := t.sizes[blob]
	switch {
	case t.proven[blob]:
	case known && was != size && !proven:
		t.sizes[blob] = notKnown
	default:
		t.sizes[blob], t.proven[blob] = size, proven
	}
}

// states reports whether any manifest states this size of a blob.
func (n *needs) states(blob int32, size int64) bool {
	return n.blobs[blob].stated == size || slices.ContainsFunc(n.claims[blob], func(c claim) bool { return c.size == size })
}

// settle completes a row if the manifests disagree on the size of its blob. If one of them agrees with the store, that
// one is right. Otherwise something is wrong, and only the bytes show what.
func (n *needs) settle(r row) (row, bool) {
	if r.blob < 0 || !n.blobs[r.blob].argued {
		return r, false
	}
	size := r.object
	if size < 0 {
		size = r.record
	}
	switch {
	case size < 0:
	case n.states(r.blob, size):
		r.want = size
		return r, true
	default:
		r.want = n.blobs[r.blob].stated
	}
	return r, false
}

// says returns the size that an image states for a blob.
func (n *needs) says(l link) int64 {
	other := n.claims[l.blob]
	at, found := slices.BinarySearchFunc(other, l.image, func(c claim, image int32) int { return cmp.Compare(c.image, image) })
	if found {
		return other[at].size
	}
	return n.blobs[l.blob].stated
}

// misstated returns the first images that state wrong sizes, and counts all of them.
func (n *needs) misstated(t *truths, most int) (list []Misstated, count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wrong := map[int32]int64{}
	for blob := range n.claims {
		if n.blobs[blob].argued {
			wrong[blob] = notKnown
		}
	}
	for blob, size := range t.sizes {
		if n.blobs[blob].argued || t.proven[blob] && n.blobs[blob].stated != size {
			wrong[blob] = size
		}
	}
	if len(wrong) == 0 {
		return nil, 0
	}
	for _, l := range n.links {
		is, ok := wrong[l.blob]
		if !ok {
			continue
		}
		says := n.says(l)
		if says < 0 || says == is {
			continue
		}
		if count++; most <= 0 || count <= most {
			image := n.images[l.image]
			list = append(list, Misstated{
				Repository: n.repos.names[image.repository], Image: image.digest.String(),
				Digest: n.blobs[l.blob].digest.String(), States: says, Is: max(is, -1),
			})
		}
	}
	return list, count
}
