package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"ociproxy/internal/atomicfile"
)

// mapping is memory outside the Go heap. It is freed once: by release, or when its owner is collected.
type mapping struct {
	bytes    []byte
	released atomic.Bool
}

func (m *mapping) release() {
	if m != nil && m.released.CompareAndSwap(false, true) {
		_ = unmap(m.bytes) // fails only if nothing was mapped
	}
}

// tieTo frees the memory when p is unreachable. A reader of the memory must keep p alive until it is done.
func (m *mapping) tieTo(p *part) { runtime.AddCleanup(p, (*mapping).release, m) }

// region is memory that is written once from start to end, then only read. If there is a disk, it is a file, because
// the system can drop a file's pages under memory pressure. Otherwise it is anonymous memory.
type region struct {
	file *os.File      // nil: anonymous
	w    *bufio.Writer // of file
	mem  []byte        // anonymous
	n    int           // bytes written
}

// newRegion makes a region for at most limit bytes. Its file in dir has no name: no other process can change it, and it
// is freed with its last user. dir "" makes anonymous memory.
func newRegion(dir string, limit int) (*region, error) {
	if dir == "" {
		mem, err := reserve(max(limit, 1))
		if err != nil {
			return nil, fmt.Errorf("table: reserve %d bytes of memory: %w", limit, err)
		}
		return &region{mem: mem}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	f, err := atomicfile.Scratch(dir, "table")
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return &region{file: f, w: bufio.NewWriterSize(f, 256<<10)}, nil
}

// Write implements [io.Writer].
func (r *region) Write(b []byte) (int, error) {
	if r.file == nil {
		n := copy(r.mem[r.n:], b)
		r.n += n
		if n < len(b) {
			return n, errors.New("table: larger than reserved")
		}
		return n, nil
	}
	n, err := r.w.Write(b)
	r.n += n
	return n, err
}

// view calls f with what has been written so far.
func (r *region) view(f func([]byte) error) error {
	if r.file == nil {
		return f(r.mem[:r.n])
	}
	m, err := r.seal()
	if err != nil {
		return err
	}
	defer m.release()
	return f(m.bytes[:r.n])
}

// seal makes what has been written readable. An anonymous region has one mapping, a file one for each call.
func (r *region) seal() (*mapping, error) {
	if r.file == nil {
		return &mapping{bytes: r.mem}, nil
	}
	if err := r.w.Flush(); err != nil {
		return nil, err
	}
	b, err := mapFile(r.file, r.n)
	if err != nil {
		return nil, fmt.Errorf("table: map: %w", err)
	}
	return &mapping{bytes: b}, nil
}

// close ends writing. Mappings stay.
func (r *region) close() {
	if r.file != nil {
		atomicfile.CloseScratch(r.file) // everything was flushed
	}
}

// abandon frees everything.
func (r *region) abandon() {
	r.close()
	if r.mem != nil {
		_ = unmap(r.mem)
	}
}
