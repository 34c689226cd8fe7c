package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// MaxFooter bounds the description at the end of a file, in bytes. Data of a month has some hundred KiB.
const MaxFooter = 64 << 20

// Open reads the description at the end of a file of size bytes. It reads nothing else: call [CheckPages] with the
// columns that you read, before you read them.
func Open(in io.ReaderAt, size int64) (file *parquet.File, err error) {
	defer Recovered(&err)
	var end [8]byte
	if size < 12 {
		return nil, errors.New("the file is truncated: it is too short for a Parquet file")
	}
	if _, err := in.ReadAt(end[:], size-8); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(end[4:]) != "PAR1" {
		return nil, errors.New("the file is truncated, or is no Parquet file: such a file ends with PAR1")
	}
	if n := int64(binary.LittleEndian.Uint32(end[:])); n > min(size-12, MaxFooter) {
		return nil, fmt.Errorf("the file is damaged: a footer of %d bytes", n)
	}
	return parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
}

// Recovered makes an error of a panic: the library panics on some damaged files. Defer it wherever the library reads.
func Recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the file is damaged: %.200v", p)
	}
}
