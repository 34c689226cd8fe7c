package inventory

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// update builds a new table if a reader has segments that the table does not have, and publishes what is known.
func (f *Follower) update() error {
	f.building.Lock()
	defer f.building.Unlock()
	changed, err := f.rebuild()
	f.mu.Lock()
	news := f.live.publish(f.view())
	f.report()
	f.mu.Unlock()
	if changed {
		f.clean()
	}
	if changed && news {
		// The old table's memory is freed when the collector finds that no request uses it. On a quiet proxy that may
		// take minutes, and the next table would be the third in memory. So run the collector now.
		runtime.GC()
	}
	return err
}

// clean removes segments from disk that no store lists any more.
func (f *Follower) clean() {
	stores := f.list()
	f.segments.Retain(func(sha256 string) bool {
		return slices.ContainsFunc(stores, func(s *followed) bool { return s.reader.needs(sha256) })
	}, f.opt.clock()())
}

// rebuild reports whether there is a new table. When a segment cannot be read, only the stores that list it miss
// their update.
func (f *Follower) rebuild() (changed bool, err error) {
	var failed []error
	without := map[string]error{} // by hash: why segments cannot be read
	list := f.list()
	for {
		in := buildInput{old: f.table, keep: keepNone(), open: f.segments.Open, dir: f.tableDir(), limit: int(f.opt.maxDigests())}
		built := map[*followed]*Head{}
		for _, s := range list {
			had := s.reader.builtSegments()
			h := s.reader.Head()
			var broken error
			done := h == nil || had != nil && sameSegments(had, h.blobs())
			if !done {
				broken = errors.Join(lists(h, without), s.full.of(h, f.table))
			}
			if done || broken != nil {
				if had != nil {
					in.keep[s.Index] = int16(s.Index)
				}
				s.reader.setLagging(broken)
				continue
			}
			next := h.blobs()
			if had != nil && isPrefix(had, next) {
				in.keep[s.Index] = int16(s.Index)
				next = next[len(had):]
			}
			in.changes = append(in.changes, Change{Index: s.Index, Segments: next})
			built[s] = h
		}
		if len(in.changes) == 0 {
			return false, joinFaults(failed)
		}
		t, err := build(in)
		if err == nil {
			f.table = t
			for s, h := range built {
				s.reader.setBuilt(h)
				s.reader.setLagging(nil)
				s.full = nil
			}
			return true, joinFaults(failed)
		}
		err = fmt.Errorf("build table: %w", err)
		if errors.Is(err, ErrTooMany) {
			failed = append(failed, err)
			s := most(built, in.changes)
			s.full = &refusal{content: built[s].content(), digests: f.table.Len(), err: err}
			continue
		}
		ref, ok := BadSegment(err)
		if !ok {
			for s := range built {
				s.reader.setLagging(err)
			}
			return false, err
		}
		failed = append(failed, err)
		without[ref.SHA256] = err
		f.segments.Check(ref)
		for s, h := range built {
			if h.Has(ref.SHA256) {
				s.reader.refetch()
			}
		}
	}
}

// refusal is why a store's update is left out, until the store lists something else or the table has become smaller.
type refusal struct {
	content uint64
	digests int
	err     error
}

// of returns why h is left out of a table that follows t; nil: it is not left out.
func (r *refusal) of(h *Head, t *Table) error {
	if r == nil || h.content() != r.content || t.Len() < r.digests {
		return nil
	}
	return r.err
}

// most returns the store with the largest changes. If there is no room for all, leave it out, so that the others get
// theirs.
func most(built map[*followed]*Head, changes []Change) *followed {
	added := map[int]uint64{}
	for _, c := range changes {
		for _, ref := range c.Segments {
			added[c.Index] += ref.Count
		}
	}
	var worst *followed
	for s := range built {
		if worst == nil || added[s.Index] > added[worst.Index] || added[s.Index] == added[worst.Index] && s.ID > worst.ID {
			worst = s
		}
	}
	return worst
}

func joinFaults(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return faults[0]
}

// lists returns what is wrong with the first segment of h that cannot be read; nil: nothing.
func lists(h *Head, without map[string]error) error {
	for _, s := range h.Segments {
		if err := without[s.SHA256]; err != nil {
			return err
		}
	}
	return nil
}

// view returns what is known now. f.building and f.mu are held.
func (f *Follower) view() *View {
	v := &View{Table: f.table}
	for _, s := range f.stores {
		if s.reader.builtState() == Current {
			v.Believed.Add(s.Index)
		}
	}
	return v
}

// report logs the changes of each store since the last time. f.mu is held.
func (f *Follower) report() {
	for _, s := range f.stores {
		st := s.status()
		if st.State != s.state {
			log := f.log.With("store", s.ID, "from", s.state.String(), "to", st.State.String())
			if !st.WrittenAt.IsZero() { // if zero, no inventory was ever read
				log = log.With("generation", st.Generation, "writtenAt", st.WrittenAt)
			}
			log.Info("inventory changed its state")
			s.state = st.State
		}
		fault := ""
		if st.LastError != nil {
			fault = st.LastError.Error()
		}
		switch {
		case fault == s.fault:
		case fault == "":
			f.log.Info("inventory is read again", "store", s.ID, "generation", st.Generation)
		default:
			f.log.Warn("inventory cannot be refreshed", "store", s.ID, "state", st.State.String(), "error", fault)
		}
		s.fault = fault
	}
}
