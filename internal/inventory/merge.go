package inventory

import "bytes"

// merger walks through many cursors at once: digest by digest, with all the cursors that have it. It is a binary heap
// by the first eight bytes of the digest, which are stored next to the cursors. It reads nothing else until two of them
// are equal.
type merger struct {
	heap      []mergeItem
	group     []*cursor // the result of the last call of next
	mixed     bool      // other cursors have the same key as the group
	moved     bool      // alone has already advanced the group's only cursor
	digestLen int
}

type mergeItem struct {
	key uint64
	c   *cursor
}

// newMerger takes cursors of one algorithm, none of them done.
func newMerger(alg algorithm, cursors []*cursor) *merger {
	m := &merger{digestLen: alg.digestLen(), heap: make([]mergeItem, len(cursors))}
	for i, c := range cursors {
		m.heap[i] = mergeItem{c.key, c}
	}
	m.order()
	return m
}

// next returns the cursors that are on the lowest digest not yet returned, in no particular order; none at the end.
// They stay on it until the next call of next.
func (m *merger) next() ([]*cursor, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	m.group, m.mixed = m.group[:0], false
	if len(m.heap) > 0 {
		m.collect(0)
		m.lowest()
	}
	return m.group, nil
}

// alone advances the only cursor of the last group. It reports whether that cursor alone is on the lowest digest again.
// So long stretches of the largest segment need no reordering.
func (m *merger) alone() (bool, error) {
	c := m.group[0]
	if len(m.group) > 1 || m.mixed {
		return false, nil
	}
	m.moved = true
	if err := c.advance(); err != nil {
		return false, &sourceError{c.source, err}
	}
	if c.done || len(m.heap) > 1 && c.key >= m.heap[1].key || len(m.heap) > 2 && c.key >= m.heap[2].key {
		return false, nil
	}
	return true, nil
}

// step advances the cursors of the last group.
func (m *merger) step() error {
	if m.moved {
		m.moved = false
		m.sink()
		return nil
	}
	again := m.mixed // a cursor has the same key again
	for _, c := range m.group {
		key := c.key
		if err := c.advance(); err != nil {
			return &sourceError{c.source, err}
		}
		again = again || c.key == key && !c.done
	}
	if again { // digests with equal first eight bytes: these are chosen, not hashed
		kept := m.heap[:0]
		for _, i := range m.heap {
			if !i.c.done {
				kept = append(kept, mergeItem{i.c.key, i.c})
			}
		}
		m.heap = kept
		m.order()
		return nil
	}
	for range m.group { // they had the lowest key, so each comes to the top in turn
		m.sink()
	}
	return nil
}

// sink moves the cursor at the top, which has advanced, to its place.
func (m *merger) sink() {
	if top := &m.heap[0]; top.c.done {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	} else {
		top.key = top.c.key
	}
	m.down(0)
}

// collect gathers the cursors with the lowest key, from item i downwards.
func (m *merger) collect(i int) {
	if i < len(m.heap) && m.heap[i].key == m.heap[0].key {
		m.group = append(m.group, m.heap[i].c)
		m.collect(2*i + 1)
		m.collect(2*i + 2)
	}
}

// lowest keeps only the cursors with the lowest digest in the group.
func (m *merger) lowest() {
	least := m.group[0].rec[:m.digestLen]
	for _, c := range m.group[1:] {
		if order := bytes.Compare(c.rec[8:m.digestLen], least[8:]); order != 0 {
			m.mixed = true
			if order < 0 {
				least = c.rec[:m.digestLen]
			}
		}
	}
	if !m.mixed {
		return
	}
	kept := m.group[:0]
	for _, c := range m.group {
		if bytes.Equal(c.rec[8:m.digestLen], least[8:]) {
			kept = append(kept, c)
		}
	}
	m.group = kept
}

func (m *merger) order() {
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

func (m *merger) down(i int) {
	h := m.heap
	if i >= len(h) {
		return
	}
	item := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if r := child + 1; r < len(h) && h[r].key < h[child].key {
			child = r
		}
		if item.key <= h[child].key {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = item
}

// sourceError says which source's records could not be read.
type sourceError struct {
	source *source
	err    error
}

func (e *sourceError) Error() string {
	if e.source == nil {
		return e.err.Error()
	}
	return "segment " + e.source.ref.SHA256 + ": " + e.err.Error()
}

func (e *sourceError) Unwrap() error { return e.err }
