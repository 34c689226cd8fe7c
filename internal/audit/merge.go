package audit

import (
	"cmp"
	"fmt"
	"iter"
	"strings"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// Special sizes.
const (
	absent   int64 = -1 // it is not there
	notKnown int64 = -2 // it may be there, with some size
)

// row is everything that is known about one digest in one store before a request for the object.
type row struct {
	digest  oci.Digest
	blob    int32 // index in needs.blobs; -1: no image needs it
	want    int64 // size in the manifests; or absent, notKnown
	record  int64 // size in the inventory; absent; notKnown if the inventories that list it disagree
	object  int64 // size in the listing; absent; notKnown if there is no listing
	version string
	altered string // why clients would not get it unchanged, according to the listing
}

// judge decides from the sizes. "" means that nothing is wrong so far.
func (r row) judge() (Class, string) {
	size := r.want
	if size < 0 && r.record >= 0 {
		size = r.record
	}
	impossible := cmp.Or(store.SizeAmiss(r.digest, r.object), store.SizeAmiss(r.digest, r.record))
	switch {
	case r.record != absent && r.object == absent:
		return Lost, "the inventory lists it, there is no object"
	case r.want != absent && r.object == absent:
		return Missing, "no object"
	case r.want != absent && r.record == absent && r.object == notKnown:
		return Missing, "not in the inventory"
	case impossible != "" && (r.want != absent || r.record != absent):
		return Short, impossible
	case r.disputed():
		has := r.record
		if r.object >= 0 {
			has = r.object
		}
		return Disputed, fmt.Sprintf("the store says %s, the manifest %d: one of them is wrong, --deep tells which",
			bytes(has), r.want)
	case r.object >= 0 && size >= 0 && r.object != size:
		return Short, fmt.Sprintf("%s, not %d", bytes(r.object), size)
	case r.record >= 0 && size >= 0 && r.record != size:
		return Short, fmt.Sprintf("the inventory says %s, not %d", bytes(r.record), size)
	case r.record == notKnown:
		return Short, "the inventories of the stores do not agree on its size"
	case r.altered != "" && (r.want != absent || r.record != absent):
		return Unreadable, r.altered
	case r.want == absent:
		return Unexpected, "no image needs it"
	case r.record == absent:
		return Unlisted, "not in the inventory"
	}
	return "", ""
}

// disputed reports whether everything known about the store has one size, and the manifests have another.
func (r row) disputed() bool {
	differs := func(n int64) bool { return n >= 0 && n != r.want }
	switch {
	case r.want < 0 || r.object == absent:
		return false
	case r.object < 0:
		return differs(r.record)
	}
	return differs(r.object) && (r.record == r.object || r.record == absent)
}

// bytes returns a number of bytes as text.
func bytes(n int64) string { return english.Plural(int(n), "byte", "") }

// lists are what one store says about itself. Each is ascending by digest, like inventories and listings.
type lists struct {
	records iter.Seq2[inventory.Record, error]
	objects iter.Seq2[store.Attrs, error] // nil: no listing
	// foreign is called for objects whose keys are not digests.
	foreign func(store.Attrs)
}

// rows merges what images need with what a store says, in the order of digests. The last pair may be an error.
func rows(n *needs, order []int32, l lists) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		records := pull(l.records, func(r inventory.Record) (oci.Digest, bool) { return r.Digest, r.Kind == inventory.Blob })
		defer records.stop()
		objects := pull(l.objects, func(a store.Attrs) (oci.Digest, bool) {
			d, err := oci.ParseDigest(strings.TrimPrefix(a.Key, store.BlobPrefix))
			if err != nil || !d.InStores() {
				l.foreign(a)
				return d, false
			}
			return d, true
		})
		defer objects.stop()
		for {
			if err := firstError(records.err, objects.err); err != nil {
				yield(row{}, err)
				return
			}
			least, some := "", false
			see := func(d oci.Digest) {
				if !some || d.String() < least {
					least, some = d.String(), true
				}
			}
			if len(order) > 0 {
				see(n.blobs[order[0]].digest)
			}
			if records.ok {
				see(records.digest)
			}
			if objects.ok {
				see(objects.digest)
			}
			if !some {
				return
			}
			r := row{blob: -1, want: absent, record: absent, object: absent}
			if l.objects == nil {
				r.object = notKnown
			}
			if len(order) > 0 && n.blobs[order[0]].digest.String() == least {
				r.blob = order[0]
				r.digest, r.want = n.blobs[r.blob].digest, n.blobs[r.blob].size
				order = order[1:]
			}
			if records.ok && records.digest.String() == least {
				r.digest, r.record = records.digest, records.value.Size
				if r.record < 0 {
					r.record = notKnown
				}
				records.next()
			}
			if objects.ok && objects.digest.String() == least {
				r.digest, r.object, r.version = objects.digest, objects.value.Size, objects.value.Version
				r.altered = objects.value.Altered()
				objects.next()
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// cursor reads a list step by step.
type cursor[T any] struct {
	value  T
	digest oci.Digest
	ok     bool // there is a value
	err    error
	next   func()
	stop   func()
}

// pull starts a cursor at the first value that is one of ours. A list out of order ends in an error, because merging it
// would give wrong results.
func pull[T any](seq iter.Seq2[T, error], ours func(T) (oci.Digest, bool)) *cursor[T] {
	c := &cursor[T]{next: func() {}, stop: func() {}}
	if seq == nil {
		return c
	}
	next, stop := iter.Pull2(seq)
	c.stop = stop
	c.next = func() {
		last := c.digest.String()
		for {
			c.value, c.err, c.ok = next()
			if !c.ok || c.err != nil {
				c.ok = false
				return
			}
			d, mine := ours(c.value)
			if !mine {
				continue
			}
			if d.String() <= last {
				c.ok, c.err = false, fmt.Errorf("list out of order: %s after %s", d, last)
				return
			}
			c.digest = d
			return
		}
	}
	c.next()
	return c
}
