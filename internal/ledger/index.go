package ledger

import (
	"log/slog"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
)

// index says which stores have what, for one class: a table of what their inventories said, and the changes since.
// The ledger's lock guards it.
type index struct {
	table   *inventory.Table
	without set.Set // stores for which the table counts no longer
	since   map[oci.Digest]said
	kind    inventory.Kind
	dir     string
	foldAt  int // so many entries of since become part of the table
}

// said is what was said about one digest since the table was built.
type said struct {
	held, gone set.Set
	size       int64
}

// foldAbove bounds what is kept beside a table: some 4 MiB.
const foldAbove = 20_000

func newIndex(t *inventory.Table, kind inventory.Kind, dir string) *index {
	return &index{table: t, kind: kind, dir: dir, since: map[oci.Digest]said{}, foldAt: foldAbove}
}

// get returns which stores have d, and its size; -1: unknown, they do not agree.
func (x *index) get(d oci.Digest) (stores set.Set, size int64) {
	size = -1
	if e, ok := x.table.Lookup(d); ok {
		stores, size = e.Stores, e.Size
		stores.AndNot(&x.without)
	}
	if s, ok := x.since[d]; ok {
		stores.AndNot(&s.gone)
		stores.Or(&s.held)
		if !s.held.Empty() {
			size = s.size
		}
	}
	return stores, size
}

func (x *index) add(i int, d oci.Digest, size int64) {
	s := x.since[d]
	s.gone.Remove(i)
	s.held.Add(i)
	s.size = size
	x.since[d] = s
}

func (x *index) remove(i int, d oci.Digest) {
	s := x.since[d]
	s.held.Remove(i)
	s.gone.Add(i)
	x.since[d] = s
}

// drop forgets everything about store i.
func (x *index) drop(i int) {
	x.without.Add(i)
	for d, s := range x.since {
		s.held.Remove(i)
		s.gone.Remove(i)
		x.since[d] = s
	}
}

// relieve bounds what is kept beside the table.
func (x *index) relieve(log *slog.Logger) {
	if len(x.since) < x.foldAt {
		return
	}
	if err := x.fold(); err != nil {
		log.Warn("the ledger grows in memory", "error", err.Error())
	}
}

// fold makes what was said since a part of the table.
func (x *index) fold() error {
	more := map[int][]inventory.Record{}
	for d, s := range x.since {
		s.held.Each(func(i int) { more[i] = append(more[i], inventory.Record{Digest: d, Size: s.size, Kind: x.kind}) })
		if x.kind == inventory.Blob {
			s.gone.Each(func(i int) { more[i] = append(more[i], inventory.Record{Digest: d, Kind: inventory.Tombstone}) })
		}
	}
	t, err := write.Extend(x.table, x.dir, x.without, more)
	if err != nil {
		x.foldAt = len(x.since) + foldAbove // it is right as it is, and takes memory; try again later
		return err
	}
	x.table, x.without, x.foldAt = t, set.Set{}, foldAbove
	clear(x.since)
	return nil
}
