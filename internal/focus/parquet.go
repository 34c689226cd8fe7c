package focus

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"math/big"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"ociproxy/internal/parquetfile"
)

// maxChunk bounds one column of a group of rows, expanded. Writers make groups of 128 MiB to 1 GiB of all columns.
const maxChunk = 1 << 30

// parquetTable reads only the columns that we know, side by side, a page of each at a time.
type parquetTable struct {
	l      *layout
	groups []parquet.RowGroup
	leaves []int // of the columns that we read: their leaf, in the order of columns
	chunks []*chunk
	group  int   // the next one
	left   int64 // rows in the present one
	row    int64
	byAt   []int // position in the file's columns: position in chunks, or -1
	get    func(int) cell
}

// chunk is one column of the present row group.
type chunk struct {
	pages   parquet.Pages
	page    parquet.Page
	values  parquet.ValueReader
	buffer  [128]parquet.Value
	at, n   int
	present cell
	convert func(parquet.Value, string) cell
}

// newParquet opens a file.
func newParquet(r io.ReaderAt, size int64) (t *parquetTable, err error) {
	defer parquetfile.Recovered(&err)
	f, err := parquetfile.Open(r, size)
	if err != nil {
		return nil, err
	}
	t = &parquetTable{groups: f.RowGroups()}
	var names []string
	var leaves []*parquet.Column
	for _, c := range f.Root().Columns() {
		// Tags and details are maps and lists: they are columns that we do not read.
		if c.Leaf() && c.MaxRepetitionLevel() == 0 {
			leaves = append(leaves, c)
		} else {
			leaves = append(leaves, nil)
		}
		names = append(names, c.Name())
	}
	if t.l, err = newLayout(names); err != nil {
		return nil, err
	}
	t.byAt = make([]int, len(names))
	for i := range t.byAt {
		t.byAt[i] = -1
	}
	for c := range columnCount {
		at := t.l.at[c]
		if at < 0 || t.byAt[at] >= 0 {
			continue
		}
		if leaves[at] == nil {
			return nil, fmt.Errorf("the column %s is not flat", columnNames[c])
		}
		t.byAt[at] = len(t.leaves)
		t.leaves = append(t.leaves, leaves[at].Index())
		t.chunks = append(t.chunks, &chunk{convert: converter(leaves[at].Type())})
	}
	for _, g := range f.Metadata().RowGroups {
		for _, leaf := range t.leaves {
			if m := &g.Columns[leaf].MetaData; m.TotalUncompressedSize < 0 || m.TotalUncompressedSize > maxChunk || m.TotalCompressedSize > size {
				return nil, fmt.Errorf("the file is damaged: a column of %d bytes in %d", m.TotalUncompressedSize, m.TotalCompressedSize)
			}
		}
	}
	if err := parquetfile.CheckPages(r, size, f, t.leaves); err != nil {
		return nil, err
	}
	t.get = func(i int) cell { return t.chunks[t.byAt[i]].present }
	return t, nil
}

func (t *parquetTable) layout() *layout { return t.l }

func (t *parquetTable) next() (get func(int) cell, line int64, err error) {
	defer parquetfile.Recovered(&err)
	for t.left == 0 {
		if t.group == len(t.groups) {
			return nil, t.row, io.EOF
		}
		g := t.groups[t.group]
		all := g.ColumnChunks()
		for i, leaf := range t.leaves {
			if err := t.chunks[i].open(all[leaf]); err != nil {
				return nil, t.row, err
			}
		}
		t.group, t.left = t.group+1, g.NumRows()
		if t.left < 0 {
			return nil, t.row, errors.New("the file is damaged: a negative number of rows")
		}
	}
	t.left--
	t.row++
	for _, c := range t.chunks {
		if err := c.next(); err != nil {
			return nil, t.row, err
		}
	}
	return t.get, t.row, nil
}

func (t *parquetTable) fingerprint(h *maphash.Hash) {
	for _, c := range t.chunks {
		switch v := c.present; v.is {
		case isText:
			_, _ = h.WriteString(v.text)
		case isNumber:
			maphash.WriteComparable(h, v.num)
		case isTime:
			maphash.WriteComparable(h, v.at.UnixNano())
		case isNull:
		}
		_ = h.WriteByte(0)
	}
}

func (c *chunk) open(from parquet.ColumnChunk) error {
	c.release()
	if c.pages != nil {
		if err := c.pages.Close(); err != nil {
			return err
		}
	}
	c.pages, c.at, c.n = from.Pages(), 0, 0
	return nil
}

func (c *chunk) release() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page, c.values = nil, nil
}

// next goes on to the value of the next row.
func (c *chunk) next() error {
	for c.at == c.n {
		if c.values == nil {
			c.release()
			page, err := c.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // fewer values than rows
			}
			if err != nil {
				return err
			}
			c.page, c.values = page, page.Values()
		}
		n, err := c.values.ReadValues(c.buffer[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		c.at, c.n = 0, n
		if n == 0 || err != nil {
			// The values that were read point into the page until the next one is read.
			c.values = nil
		}
	}
	v := c.buffer[c.at]
	c.at++
	if v.IsNull() {
		c.present = cell{}
		return nil
	}
	c.present = c.convert(v, c.present.text)
	return nil
}

// converter returns how a column's values become cells. The text of the last cell is used again if it is the same.
func converter(t parquet.Type) func(v parquet.Value, last string) cell {
	kind := t.Kind()
	if l := t.LogicalType(); l != nil {
		switch is := l.Value.(type) {
		case *format.DecimalType:
			scale := math.Pow10(int(is.Scale))
			return func(v parquet.Value, _ string) cell { return cell{num: unscaled(v, kind) / scale, is: isNumber} }
		case *format.TimestampType:
			unit := time.Nanosecond
			switch is.Unit.Value.(type) {
			case *format.MilliSeconds:
				unit = time.Millisecond
			case *format.MicroSeconds:
				unit = time.Microsecond
			}
			return func(v parquet.Value, _ string) cell {
				n := v.Int64()
				per := int64(time.Second / unit)
				return cell{at: time.Unix(n/per, n%per*int64(unit)).UTC(), is: isTime}
			}
		case *format.DateType:
			return func(v parquet.Value, _ string) cell {
				return cell{at: time.Unix(int64(v.Int32())*86400, 0).UTC(), is: isTime}
			}
		}
	}
	switch kind {
	case parquet.Double:
		return func(v parquet.Value, _ string) cell { return cell{num: v.Double(), is: isNumber} }
	case parquet.Float:
		return func(v parquet.Value, _ string) cell { return cell{num: float64(v.Float()), is: isNumber} }
	case parquet.Int32, parquet.Int64, parquet.Boolean:
		return func(v parquet.Value, _ string) cell { return cell{num: unscaled(v, kind), is: isNumber} }
	case parquet.Int96: // a time, as older writers have it: nanoseconds of the day, and the Julian day
		return func(v parquet.Value, _ string) cell {
			n := v.Int96()
			ns, day := int64(n[0])|int64(n[1])<<32, int64(n[2])-julian1970
			return cell{at: time.Unix(day*86400, ns).UTC(), is: isTime}
		}
	case parquet.ByteArray, parquet.FixedLenByteArray:
	}
	return func(v parquet.Value, last string) cell {
		if b := v.ByteArray(); string(b) != last {
			last = string(b)
		}
		if last == "" {
			return cell{}
		}
		return cell{text: last, is: isText}
	}
}

// julian1970 is the Julian day of 1 January 1970.
const julian1970 = 2440588

// unscaled returns the integer of a decimal.
func unscaled(v parquet.Value, kind parquet.Kind) float64 {
	switch kind {
	case parquet.Boolean:
		return 0
	case parquet.Int32:
		return float64(v.Int32())
	case parquet.Int64:
		return float64(v.Int64())
	default:
	}
	b := v.ByteArray() // big-endian, two's complement
	if len(b) == 0 {
		return 0
	}
	n := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}
