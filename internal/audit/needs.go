package audit

import (
	"slices"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/walk"
)

// needs is what all images need: each blob once.
type needs struct {
	repos  repositories
	images []imageRef
	index  map[oci.Digest]int32
	blobs  []need
	links  []link            // image → blob, in the order of the images
	claims map[int32][]claim // by blob: sizes that images state and that differ from the first one, in the images' order
}

type imageRef struct {
	repository int32
	digest     oci.Digest
}

type need struct {
	digest oci.Digest
	size   int64 // notKnown if no manifest states it, or two disagree
	stated int64 // by the first manifest that states it; notKnown if none does
	image  int32 // the first image that needs it
	argued bool  // two manifests disagree on the size: only the bytes show which is wrong
}

type link struct{ image, blob int32 }

// repositories numbers the names of repositories, so that a million images share them.
type repositories struct {
	names []string
	ids   map[string]int32
}

func (r *repositories) id(name string) int32 {
	id, ok := r.ids[name]
	if !ok {
		if r.ids == nil {
			r.ids = map[string]int32{}
		}
		id = int32(len(r.names))
		r.ids[name] = id
		r.names = append(r.names, name)
	}
	return id
}

// add adds one more image. It leaves out blobs that accept refuses.
func (n *needs) add(img walk.Image, accept func(oci.Digest) bool) {
	if n.index == nil {
		n.index = map[oci.Digest]int32{}
	}
	image := int32(len(n.images))
	n.images = append(n.images, imageRef{n.repos.id(img.Repository), img.Digest})
	for _, b := range img.Blobs {
		if !accept(b.Digest) {
			continue
		}
		size := b.Size
		if size < 0 {
			size = notKnown
		}
		i, seen := n.index[b.Digest]
		if !seen {
			i = int32(len(n.blobs))
			n.index[b.Digest] = i
			n.blobs = append(n.blobs, need{digest: b.Digest, size: notKnown, stated: notKnown, image: image})
		}
		if n.blobs[i].learn(size); size < 0 || size != n.blobs[i].stated {
			n.claim(i, claim{image, size})
		}
		n.links = append(n.links, link{image, i})
	}
}

// learn takes the size that one more manifest states.
func (b *need) learn(size int64) {
	switch {
	case size == notKnown || size == b.size || b.argued:
	case b.size == notKnown:
		b.size, b.stated = size, size
	default:
		b.size, b.argued = notKnown, true
	}
}

// claim records the size that an image states for a blob.
func (n *needs) claim(blob int32, c claim) {
	if n.claims == nil {
		n.claims = map[int32][]claim{}
	}
	if all := n.claims[blob]; len(all) == 0 || all[len(all)-1].image != c.image {
		n.claims[blob] = append(all, c)
	}
}

// bytes adds up the known sizes.
func (n *needs) bytes() (sum int64) {
	for i := range n.blobs {
		sum += max(0, n.blobs[i].size)
	}
	return sum
}

// ascending returns the numbers of the blobs in the order of their digests. Inventories and listings have the same
// order.
func (n *needs) ascending() []int32 {
	order := make([]int32, len(n.blobs))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return strings.Compare(n.blobs[a].digest.String(), n.blobs[b].digest.String())
	})
	return order
}

// name adds to findings the images that need their blobs.
func (n *needs) name(findings []Finding) {
	images := map[int32][]ImageName{}
	for _, f := range findings {
		if f.blob >= 0 {
			images[f.blob] = nil
		}
	}
	for _, l := range n.links {
		list, ok := images[l.blob]
		if !ok {
			continue
		}
		i := n.images[l.image]
		name := ImageName{n.repos.names[i.repository], i.digest.String()}
		if len(list) == 0 || list[len(list)-1] != name { // two layers of an image may be the same blob
			images[l.blob] = append(list, name)
		}
	}
	for i := range findings {
		findings[i].Images = images[findings[i].blob]
	}
}

// incomplete counts the images that need any of the given blobs.
func (n *needs) incomplete(blobs map[int32]bool) int {
	count, last := 0, int32(-1)
	for _, l := range n.links {
		if l.image != last && blobs[l.blob] {
			count, last = count+1, l.image
		}
	}
	return count
}
