package inventory

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Records returns what the store holds by its last good inventory: sha256 first, each algorithm ascending, no tombstones.
// The last pair may be an error.
func (r *Reader) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		h := r.Head()
		if h == nil {
			yield(Record{}, fmt.Errorf("inventory of %s: %w", r.store.ID, os.ErrNotExist))
			return
		}
		in := buildInput{keep: keepNone(), changes: []storeChange{{segments: h.blobs()}}, open: r.segments.open}
		for alg := range algorithm(algorithms) {
			if !records(alg, in, yield) {
				return
			}
		}
	}
}

// records yields what one store holds of one algorithm; false means stop.
func records(alg algorithm, in buildInput, yield func(Record, error) bool) bool {
	err := mergeStore(form{alg: alg}, in.changes[0].segments, in.open, func(c *cursor) error {
		n := alg.digestLen()
		if c.kind() == Blob && !yield(Record{alg.digest(c.rec[:n]), getSize(c.rec[n:]), Blob}, nil) {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		yield(Record{}, err)
	}
	return err == nil
}

var errStop = errors.New("stop")

// mergeStore calls f with the latest record of each digest of one form, ascending. The cursor is valid during
// the call.
func mergeStore(what form, segments []SegmentRef, open func(SegmentRef) (io.ReadCloser, error), f func(*cursor) error) error {
	b := &builder{form: what}
	for _, s := range gather([]storeChange{{segments: segments}}) {
		if s.form == what {
			b.sources = append(b.sources, s)
		}
	}
	cursors, closeAll, err := b.open(open)
	defer closeAll()
	if err != nil || len(cursors) == 0 {
		return err
	}
	m := newMerger(what.alg, cursors)
	for {
		group, err := m.next()
		if err != nil || len(group) == 0 {
			return err
		}
		best := group[0]
		for _, c := range group[1:] {
			if c.source.rank[0] > best.source.rank[0] {
				best = c
			}
		}
		if err := f(best); err != nil {
			return err
		}
	}
}
