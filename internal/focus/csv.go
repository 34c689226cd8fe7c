package focus

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
)

// maxRecord bounds one record of a CSV file. Tags make records long, but not that long: an open quote does.
const maxRecord = 4 << 20

var errLongRecord = errors.New("a record has more than 4 MiB: a quote is not closed")

// budget ends reading when one record takes more than it may.
type budget struct {
	r    io.Reader
	left int
	last byte
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongRecord
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if n > 0 {
		b.last = p[n-1]
	}
	return n, err
}

// table is a file of cost data that is read row by row.
type table interface {
	layout() *layout
	// next returns a function that gives the cells of the next row, and the number of its line; io.EOF: there is none.
	// A *skipped error means that only this row is unusable.
	next() (get func(int) cell, line int64, err error)
	// fingerprint writes all values of the present row into a hash.
	fingerprint(h *maphash.Hash)
}

// skipped is a row that is not as wide as the header.
type skipped struct{ err error }

func (s *skipped) Error() string { return s.err.Error() }

type csvTable struct {
	l      *layout
	budget *budget
	r      *csv.Reader
	fields []string
	cell   func(int) cell
	last   error // what is wrong with the last row
}

func newCSV(r io.Reader) (*csvTable, error) {
	t := &csvTable{budget: &budget{r: r, left: maxRecord}}
	buffered := bufio.NewReaderSize(t.budget, 64<<10)
	if mark, _ := buffered.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(3)
	}
	t.r = csv.NewReader(buffered)
	t.r.ReuseRecord, t.r.FieldsPerRecord = true, -1
	header, err := t.r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty: it has no header")
	case err != nil:
		return nil, fmt.Errorf("read header: %w", err)
	}
	if t.l, err = newLayout(header); err != nil {
		return nil, err
	}
	t.cell = func(i int) cell { return textCell(t.fields[i]) }
	return t, nil
}

// ended reports whether the file ends with the end of a line, as a complete one does.
func (t *csvTable) ended() bool { return t.budget.last == '\n' }

func (t *csvTable) layout() *layout { return t.l }

func (t *csvTable) next() (func(int) cell, int64, error) {
	t.budget.left = maxRecord
	fields, err := t.r.Read()
	var wrong *csv.ParseError
	switch {
	case errors.Is(err, io.EOF) && t.last != nil:
		return nil, 0, fmt.Errorf("the file is truncated: its last row %w", t.last)
	case errors.As(err, &wrong):
		t.last = fmt.Errorf("is wrong: %w", wrong.Err)
		return nil, int64(wrong.StartLine), &skipped{t.last}
	case err != nil:
		return nil, 0, err
	}
	line, _ := t.r.FieldPos(0)
	if len(fields) != t.l.width {
		t.last = fmt.Errorf("has %d fields, and the header has %d", len(fields), t.l.width)
		return nil, int64(line), &skipped{t.last}
	}
	t.last, t.fields = nil, fields
	return t.cell, int64(line), nil
}

func (t *csvTable) fingerprint(h *maphash.Hash) {
	for _, f := range t.fields {
		_, _ = h.WriteString(f)
		_ = h.WriteByte(0)
	}
}
