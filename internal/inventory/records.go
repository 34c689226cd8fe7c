package inventory

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Records yields what the store holds according to its last good inventory: sha256 first, each algorithm ascending, no
// tombstones. The last pair may be an error.
func (r *Reader) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		h := r.Head()
		if h == nil {
			yield(Record{}, fmt.Errorf("inventory of %s: %w", r.store.ID, os.ErrNotExist))
			return
		}
		in := buildInput{keep: keepNone(), changes: []Change{{Segments: h.blobs()}}, open: r.segments.Open}
		for alg := range algorithm(algorithms) {
			if !records(alg, in, yield) {
				return
			}
		}
	}
}

// records yields what one store holds of one algorithm. false means stop.
func records(alg algorithm, in buildInput, yield func(Record, error) bool) bool {
	err := mergeStore(Form{alg: alg}, in.changes[0].Segments, in.open, func(c *cursor) error {
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

// Latest calls f with the latest record of each digest of one form, ascending, as a segment writes it. segments are in
// a head's order; segments of other forms do not count. The record is valid during the call. The error is f's, or says
// that a segment cannot be read.
func Latest(
	what Form, segments []SegmentRef, open func(SegmentRef) (io.ReadCloser, error), f func(record []byte, kind Kind) error,
) error {
	return mergeStore(what, segments, open, func(c *cursor) error { return f(c.rec, c.kind()) })
}

// mergeStore calls f with the latest record of each digest of one form, ascending. The cursor is valid during
// the call.
func mergeStore(what Form, segments []SegmentRef, open func(SegmentRef) (io.ReadCloser, error), f func(*cursor) error) error {
	b := &builder{Form: what}
	for _, s := range gather([]Change{{Segments: segments}}) {
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
