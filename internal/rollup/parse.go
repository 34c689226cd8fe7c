package rollup

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/parquet-go/parquet-go"

	"ociproxy/internal/parquetfile"
)

// opened is one open file.
type opened struct {
	in      io.ReaderAt
	size    int64
	file    *parquet.File
	columns []int // ours, in the file
	meta    *Meta
}

// open checks that a file is a roll-up of the kind, before anything of its size is read into memory.
func open[T any](in io.ReaderAt, size int64, kind Kind) (o *opened, err error) {
	defer parquetfile.Recovered(&err)
	if size > MaxFile {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", size, int64(MaxFile))
	}
	file, err := parquetfile.Open(in, size)
	if err != nil {
		return nil, err
	}
	meta, err := metaOf(file.Lookup, kind)
	if err != nil {
		return nil, err
	}
	if file.NumRows() > MaxRows || file.NumRows() < 0 {
		return nil, fmt.Errorf("it has %d rows, at most %d are read", file.NumRows(), MaxRows)
	}
	needed, err := columns(parquet.SchemaOf(new(T)), file)
	if err != nil {
		return nil, err
	}
	return &opened{in, size, file, needed, meta}, nil
}

// columns returns where our columns are. It refuses a file without our columns, with columns of other types, and groups
// whose columns would fill memory. Further columns are ignored.
func columns(want *parquet.Schema, file *parquet.File) ([]int, error) {
	have := map[string]parquet.LeafColumn{}
	for _, path := range file.Schema().Columns() {
		if leaf, ok := file.Schema().Lookup(path...); ok {
			have[strings.Join(path, ".")] = leaf
		}
	}
	var needed []int
	for _, path := range want.Columns() {
		leaf, _ := want.Lookup(path...)
		is, ok := have[strings.Join(path, ".")]
		switch {
		case !ok:
			return nil, fmt.Errorf("the column %s is missing", path[0])
		case is.MaxRepetitionLevel > 0 || is.MaxDefinitionLevel > 0:
			return nil, fmt.Errorf("the column %s may be empty or repeated", path[0])
		case is.Node.Type().Kind() != leaf.Node.Type().Kind():
			return nil, fmt.Errorf("the column %s is %s, and must be %s", path[0], is.Node.Type(), leaf.Node.Type())
		}
		needed = append(needed, is.ColumnIndex)
	}
	rows := int64(0)
	for _, group := range file.Metadata().RowGroups {
		if rows += group.NumRows; group.NumRows < 0 {
			return nil, errors.New("a group of rows has fewer than none")
		}
		for _, i := range needed {
			c := &group.Columns[i].MetaData
			if c.TotalUncompressedSize > maxGroup || c.TotalUncompressedSize < 0 || c.NumValues != group.NumRows {
				return nil, fmt.Errorf("the column %.60q of a group of rows has %d values in %d bytes", strings.Join(c.PathInSchema, "."), c.NumValues, c.TotalUncompressedSize)
			}
		}
	}
	if rows != file.NumRows() {
		return nil, fmt.Errorf("its groups have %d rows together, and its footer says %d", rows, file.NumRows())
	}
	return needed, nil
}

// rowsOf returns the rows of an open file. The pointer is valid until the next row.
func rowsOf[T any](o *opened) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		if err := parquetfile.CheckPages(o.in, o.size, o.file, o.columns); err != nil {
			yield(nil, err)
			return
		}
		in := parquet.NewGenericReader[T](o.file)
		defer in.Close() //nolint:errcheck // it was only read
		batch := make([]T, 512)
		left := o.file.NumRows()
		for left > 0 {
			n, err := readSome(in, batch)
			for i := range batch[:n] {
				if left--; !yield(&batch[i], nil) {
					return
				}
			}
			switch {
			case n == 0 && err == nil:
				err = io.ErrNoProgress
			case errors.Is(err, io.EOF) && left > 0:
				err = io.ErrUnexpectedEOF
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(nil, err)
				return
			}
		}
	}
}

func readSome[T any](in *parquet.GenericReader[T], batch []T) (n int, err error) {
	defer parquetfile.Recovered(&err)
	return in.Read(batch)
}
