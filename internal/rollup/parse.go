package rollup

import (
	"errors"
	"fmt"
	"io"
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
