package rollup

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"

	"ociproxy/internal/atomicfile"
)

// spillBuffer is the buffer for writing a run, readBuffer that for reading one: hundreds may be read at once.
const spillBuffer, readBuffer = 256 << 10, 32 << 10

// run is a sorted run on disk, in a file without a name.
type run struct {
	file  *os.File
	size  int64
	level int // how often its records were merged
}

// spool keeps sorted runs of records on disk. When there are many, it merges some into one, so that the merge of all at
// the end needs little memory.
type spool[T any] struct {
	dir     string
	fan     int // how many runs of a level are merged into one of the next level
	append  func([]byte, *T) []byte
	parse   func(*bufio.Reader, *T) error
	compare func(a, b *T) int

	runs  []run
	bytes int64 // written so far
}

// write makes a run of the records that next sets, in order, until it returns false.
func (s *spool[T]) write(next func(*T) bool) error {
	if err := s.add(next, 0); err != nil {
		return err
	}
	for level := 0; ; level++ {
		at := slices.IndexFunc(s.runs, func(r run) bool { return r.level == level })
		if at < 0 || len(s.runs)-at < s.fan {
			return nil
		}
		if err := s.compact(at, level+1); err != nil {
			return err
		}
	}
}

func (s *spool[T]) add(next func(*T) bool, level int) error {
	file, err := atomicfile.Scratch(s.dir, "rollup")
	if err != nil {
		return err
	}
	out, size := bufio.NewWriterSize(file, spillBuffer), int64(0)
	var one T
	var raw []byte
	for next(&one) {
		raw = s.append(raw[:0], &one)
		size += int64(len(raw))
		if _, err := out.Write(raw); err != nil {
			atomicfile.CloseScratch(file)
			return err
		}
	}
	if err := out.Flush(); err != nil {
		atomicfile.CloseScratch(file)
		return err
	}
	s.runs = append(s.runs, run{file, size, level})
	s.bytes += size
	return nil
}

// compact merges the runs from at on, which are the last and of one level, into one.
func (s *spool[T]) compact(at, level int) error {
	old := slices.Clone(s.runs[at:])
	m := newMerge(s.compare, s.cursorsOf(old))
	var failed error
	err := s.add(func(to *T) bool {
		err := m.next(to)
		if err != nil && !errors.Is(err, io.EOF) {
			failed = err
		}
		return err == nil
	}, level)
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	merged := s.runs[len(s.runs)-1]
	s.runs = append(s.runs[:at], merged)
	for _, r := range old {
		atomicfile.CloseScratch(r.file)
	}
	return nil
}

func (s *spool[T]) cursors() []cursor[T] { return s.cursorsOf(s.runs) }

func (s *spool[T]) cursorsOf(runs []run) (all []cursor[T]) {
	for _, r := range runs {
		in := bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.size), readBuffer)
		all = append(all, cursor[T]{next: func(to *T) error {
			if _, err := in.Peek(1); err != nil {
				return err // io.EOF between two records only
			}
			if err := s.parse(in, to); err != nil {
				return errors.Join(errors.New("a spilled run is damaged"), err)
			}
			return nil
		}})
	}
	return all
}

func (s *spool[T]) close() {
	for _, r := range s.runs {
		atomicfile.CloseScratch(r.file)
	}
	s.runs = nil
}

// cursor goes over sorted records. next sets the next one; the error is io.EOF after the last.
type cursor[T any] struct {
	next func(*T) error
	now  T
}

// merge merges cursors: a heap with the least record on top.
type merge[T any] struct {
	compare func(a, b *T) int
	heap    []*cursor[T]
	err     error
	begun   bool
	out     *cursor[T] // whose record was returned last
}

func newMerge[T any](compare func(a, b *T) int, all []cursor[T]) *merge[T] {
	m := &merge[T]{compare: compare}
	for i := range all {
		m.heap = append(m.heap, &all[i])
	}
	return m
}

// next sets the next record. Slices in it are valid until the next call. The error is io.EOF after the last.
func (m *merge[T]) next(to *T) error {
	if !m.begun {
		m.begun = true
		all := m.heap
		m.heap = nil
		for _, c := range all {
			switch err := c.next(&c.now); {
			case err == nil:
				m.heap = append(m.heap, c)
			case !errors.Is(err, io.EOF):
				m.err = err
			}
		}
		for i := len(m.heap)/2 - 1; i >= 0; i-- {
			m.down(i)
		}
	} else if m.out != nil {
		m.advance()
	}
	if m.err != nil {
		return m.err
	}
	if len(m.heap) == 0 {
		return io.EOF
	}
	m.out = m.heap[0]
	*to = m.out.now
	return nil
}

// advance moves the top cursor on.
func (m *merge[T]) advance() {
	top := m.heap[0]
	switch err := top.next(&top.now); {
	case err == nil:
	case errors.Is(err, io.EOF):
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	default:
		m.err = err
	}
	if len(m.heap) > 0 {
		m.down(0)
	}
}

func (m *merge[T]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heap); child++ {
			if m.compare(&m.heap[child].now, &m.heap[least].now) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}
