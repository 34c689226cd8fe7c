package strictjson

import (
	"errors"
	"fmt"
	"io"
)

// ErrBounds is wrapped by the error of a document that is too long, too deep or has too many values.
var ErrBounds = errors.New("more JSON than is accepted")

// Bounds of a document. A zero field takes its default.
type Bounds struct {
	Bytes  int64 // of the whole text; 0: 4 MiB
	Depth  int   // of objects and lists in each other; 0: 64
	Values int   // in all: members and elements of objects and lists; 0: 1 for each 16 bytes that are allowed, and 16
}

const (
	defaultBytes = 4 << 20
	defaultDepth = 64
)

func (b Bounds) filled() Bounds {
	if b.Bytes <= 0 {
		b.Bytes = defaultBytes
	}
	if b.Depth <= 0 {
		b.Depth = defaultDepth
	}
	if b.Values <= 0 {
		b.Values = 16 + int(b.Bytes/16)
	}
	return b
}

// NewReader returns a reader of r whose Read fails with [ErrBounds] before it hands on a byte beyond the bounds. It is for those
// who read token by token, and takes no memory that grows with the text. What r sends is not checked to be JSON.
func NewReader(r io.Reader, most Bounds) io.Reader {
	return &reader{r: r, meter: meter{most: most.filled()}}
}

type reader struct {
	r io.Reader
	meter
	err error
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	ok, bounds := r.take(p[:n])
	if bounds != nil {
		n, err = ok, bounds
	}
	r.err = err
	return n, err
}

// meter counts what goes by, without a stack.
type meter struct {
	most   Bounds
	bytes  int64
	depth  int
	values int

	text, escaped bool // inside of a string; after a backslash there
}

// take counts b, and returns how many bytes of it are within the bounds.
func (m *meter) take(b []byte) (int, error) {
	for i, c := range b {
		if m.bytes++; m.bytes > m.most.Bytes {
			return i, fmt.Errorf("%w: more than %d bytes", ErrBounds, m.most.Bytes)
		}
		switch {
		case m.escaped:
			m.escaped = false
		case m.text:
			m.escaped, m.text = c == '\\', c != '"'
		case c == '"':
			m.text = true
		case c == '[' || c == '{':
			m.depth++
			m.values++ // the first in it; a comma is the next
		case c == ']' || c == '}':
			m.depth--
		case c == ',':
			m.values++
		}
		if m.depth > m.most.Depth {
			return i, fmt.Errorf("%w: deeper than %d", ErrBounds, m.most.Depth)
		}
		if m.values > m.most.Values {
			return i, fmt.Errorf("%w: more than %d values", ErrBounds, m.most.Values)
		}
	}
	return len(b), nil
}
