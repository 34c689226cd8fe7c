package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The bounds of one page. Most writers make pages of 1 MiB. DuckDB makes pages of up to 100 MB.
const (
	maxPage   = 128 << 20 // bytes, expanded
	maxValues = 16 << 20
	// maxHeader bounds the header of a page: some numbers, and the least and the greatest value.
	maxHeader = 64 << 10
)

// CheckPages reads the headers of all pages of some columns, and refuses a page that cannot be true: larger than what
// the file has left, or than the bounds. The library makes a buffer of the size in the header before it reads the page:
// without this check, 100 bytes can ask for 2 GiB.
func CheckPages(in io.ReaderAt, size int64, file *parquet.File, columns []int) error {
	p := pageReader{in: in, size: size, buffer: make([]byte, 512)}
	p.decoder.Reset(p.protocol.NewReader(nil))
	for g, group := range file.Metadata().RowGroups {
		for _, i := range columns {
			if i >= len(group.Columns) {
				return fmt.Errorf("the file is damaged: group of rows %d has %d columns", g, len(group.Columns))
			}
			c := &group.Columns[i].MetaData
			if err := p.check(c); err != nil {
				return fmt.Errorf("the file is damaged: column %d in group of rows %d: %w", i, g, err)
			}
		}
	}
	return nil
}

type pageReader struct {
	in       io.ReaderAt
	size     int64 // of the file
	buffer   []byte
	protocol thrift.CompactProtocol
	decoder  thrift.Decoder
}

// check goes through the pages of a column of a group of rows as the library does: from the dictionary, or from the
// first page of data, for the bytes that the column has.
func (p *pageReader) check(c *format.ColumnMetaData) error {
	at := c.DataPageOffset
	if c.DictionaryPageOffset != 0 {
		at = c.DictionaryPageOffset
	}
	if at < 0 || c.TotalCompressedSize < 0 || at > p.size || c.TotalCompressedSize > p.size-at {
		return fmt.Errorf("%d bytes at %d", c.TotalCompressedSize, at)
	}
	for end := at + c.TotalCompressedSize; at < end; {
		h, n, err := p.header(at, end)
		if err != nil {
			return err
		}
		at += n
		switch values := valuesOf(h); {
		case h.CompressedPageSize < 0 || int64(h.CompressedPageSize) > end-at:
			return fmt.Errorf("a page of %d bytes, and the column has %d left", h.CompressedPageSize, end-at)
		case h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage:
			return fmt.Errorf("a page of %d bytes, expanded: at most %d are read", h.UncompressedPageSize, maxPage)
		case values < 0 || values > maxValues:
			return fmt.Errorf("a page of %d values: at most %d are read", values, maxValues)
		}
		if err := p.expands(at, c.Codec, h); err != nil {
			return err
		}
		at += int64(h.CompressedPageSize)
	}
	return nil
}

// header returns the header of the page at an offset, and how many bytes it has.
func (p *pageReader) header(at, end int64) (*format.PageHeader, int64, error) {
	for {
		some := p.buffer[:min(int64(len(p.buffer)), end-at)]
		if n, err := p.in.ReadAt(some, at); n < len(some) {
			return nil, 0, err
		}
		r := p.protocol.NewReaderFromBytes(some)
		p.decoder.Reset(r)
		h := new(format.PageHeader)
		err := p.decoder.Decode(h)
		if err == nil {
			return h, int64(r.BytesRead()), nil
		}
		if len(some) < len(p.buffer) || len(p.buffer) >= maxHeader {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("a page's header is longer than %d bytes", len(some))
			}
			return nil, 0, err
		}
		p.buffer = make([]byte, 2*len(p.buffer))
	}
}

func valuesOf(h *format.PageHeader) int32 {
	switch {
	case h.DataPageHeader.Valid:
		return h.DataPageHeader.V.NumValues
	case h.DataPageHeaderV2.Valid:
		return h.DataPageHeaderV2.V.NumValues
	case h.DictionaryPageHeader.Valid:
		return h.DictionaryPageHeader.V.NumValues
	}
	return 0
}

// expands refuses a page whose compressed bytes begin with a larger size than its header has: the library makes a
// buffer of that size, too.
func (p *pageReader) expands(at int64, codec format.CompressionCodec, h *format.PageHeader) error {
	if v2 := &h.DataPageHeaderV2; v2.Valid {
		if v2.V.IsCompressed.Valid && !v2.V.IsCompressed.V {
			return nil
		}
		at += int64(v2.V.RepetitionLevelsByteLength) + int64(v2.V.DefinitionLevelsByteLength) // they are not compressed
	}
	var start [zstd.HeaderMaxSize]byte
	n, err := p.in.ReadAt(start[:], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	expanded := uint64(0)
	switch codec {
	case format.Snappy:
		expanded, _ = binary.Uvarint(start[:n])
	case format.Zstd:
		var frame zstd.Header
		if err := frame.Decode(start[:n]); err == nil && frame.HasFCS { // the library tells what is wrong with it
			expanded = frame.FrameContentSize
		}
	default: // they have no size
	}
	if expanded > uint64(h.UncompressedPageSize) {
		return fmt.Errorf("a page of %d bytes expands to %d", h.UncompressedPageSize, expanded)
	}
	return nil
}
