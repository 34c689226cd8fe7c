package strictjson

import (
	"errors"
	"fmt"
	"io"
)

// ErrBounds is wrapped by the error of a document that is too long, too deep or has too many values.
var ErrBounds = errors.New("more JSON than is accepted")

// Bounds are the limits for a document. A zero field takes its default.
type Bounds struct {
	Bytes  int64 // length of the text; 0: 4 MiB
	Depth  int   // nesting of objects and lists; 0: 64
	Values int   // total members and elements of objects and lists; 0: 16, plus 1 for each 16 bytes that Bytes allows
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

// NewReader returns a reader of r whose Read fails with [ErrBounds] before it returns a byte beyond the bounds. Use
// it for reading token by token. Its memory does not grow with the text. It does not check that r sends JSON.
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

// meter counts bytes, depth and values, without a stack.
type meter struct {
	most   Bounds
	bytes  int64
	depth  int
	values int

	text, escaped bool // inside a string; after a backslash in it
}

// take counts b, and returns how many of its bytes are within the bounds.
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
			m.values++ // the first value in it; each comma counts the next one
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
