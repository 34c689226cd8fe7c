package parquetfile

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

type row struct {
	Text string  `parquet:"text,dict"`
	N    float64 `parquet:"n"`
	Some *string `parquet:"some,optional"`
}

func written(t testing.TB, rows int, options ...parquet.WriterOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, append(options, parquet.MaxRowsPerRowGroup(100), parquet.PageBufferSize(1<<10))...)
	for i := range rows {
		text := strings.Repeat("x", 2*i%300)
		if _, err := w.Write([]row{{text, float64(i), &text}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPages: what the library writes passes, with each way to compress and both forms of pages.
func TestPages(t *testing.T) {
	for name, codec := range map[string]parquet.WriterOption{
		"none": parquet.Compression(&parquet.Uncompressed), "snappy": parquet.Compression(&parquet.Snappy), "zstd": parquet.Compression(&parquet.Zstd),
		"gzip": parquet.Compression(&parquet.Gzip), "lz4": parquet.Compression(&parquet.Lz4Raw), "brotli": parquet.Compression(&parquet.Brotli),
	} {
		for version := 1; version <= 2; version++ {
			data := written(t, 250, codec, parquet.DataPageVersion(version), parquet.DataPageStatistics(true))
			file, err := Open(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckPages(bytes.NewReader(data), int64(len(data)), file, []int{0, 1, 2}); err != nil {
				t.Errorf("%s, version %d: %v", name, version, err)
			}
		}
	}
}

// TestHostilePages: a page that asks for memory which the file does not have is refused before the library reads it.
func TestHostilePages(t *testing.T) {
	page := func(change func(*format.PageHeader)) []byte {
		h := &format.PageHeader{Type: format.DataPage, CompressedPageSize: 10, UncompressedPageSize: 10}
		h.DataPageHeader.Valid = true
		h.DataPageHeader.V.NumValues = 1
		change(h)
		b, err := thrift.Marshal(new(thrift.CompactProtocol), h)
		if err != nil {
			t.Fatal(err)
		}
		return append(b, make([]byte, 10)...)
	}
	starting := func(start []byte) []byte {
		b := page(func(h *format.PageHeader) { h.UncompressedPageSize = 1 << 20 })
		copy(b[len(b)-10:], start)
		return b
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	frame := encoder.EncodeAll(make([]byte, 2<<20), nil)
	for name, c := range map[string]struct {
		data  []byte
		codec format.CompressionCodec
		want  string
	}{
		"good":       {page(func(*format.PageHeader) {}), format.Uncompressed, ""},
		"compressed": {page(func(h *format.PageHeader) { h.CompressedPageSize = 1<<31 - 1 }), format.Gzip, "a page of 2147483647 bytes, and the column has 10 left"},
		"negative":   {page(func(h *format.PageHeader) { h.CompressedPageSize = -1 }), format.Gzip, "a page of -1 bytes"},
		"expanded":   {page(func(h *format.PageHeader) { h.UncompressedPageSize = 1<<31 - 1 }), format.Gzip, "at most 134217728 are read"},
		"values":     {page(func(h *format.PageHeader) { h.DataPageHeader.V.NumValues = 1<<31 - 1 }), format.Gzip, "a page of 2147483647 values"},
		"snappy":     {starting(binary.AppendUvarint(nil, 1<<32-1)), format.Snappy, "a page of 1048576 bytes expands to 4294967295"},
		"zstd":       {starting(frame[:10]), format.Zstd, "a page of 1048576 bytes expands to 2097152"},
		"statistics": {append([]byte("\x15\x00\x15\x14\x15\x14\x2c\x15\x02\x15\x00\x15\x00\x15\x00\x1c\x18\xff\xff\xff\xff\x07"), make([]byte, 20)...), format.Gzip, "a page's header is longer than 42 bytes"},
	} {
		p := pageReader{in: bytes.NewReader(c.data), size: int64(len(c.data)), buffer: make([]byte, 512)}
		err := p.check(&format.ColumnMetaData{Codec: c.codec, TotalCompressedSize: int64(len(c.data))})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// FuzzOpen: whatever a file has, opening it and checking its pages ends, and checking them does not panic. To fuzz it for
// long, use `make fuzz`: left alone, Go spends minutes with making inputs of some kilobytes smaller.
func FuzzOpen(f *testing.F) {
	f.Add(written(f, 20, parquet.Compression(&parquet.Snappy)))
	f.Add(written(f, 20, parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		file, err := Open(in, in.Size())
		if err != nil {
			return
		}
		var leaves []int
		for i := range file.Schema().Columns() {
			leaves = append(leaves, i)
		}
		_ = CheckPages(in, in.Size(), file, leaves)
	})
}
