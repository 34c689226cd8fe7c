package rollup

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"ociproxy/internal/traffic"
)

// fileRow is the schema of the files of rows. docs/rollups.md explains the columns.
type fileRow struct {
	Day          int32   `parquet:"day,date"`
	ClientCloud  string  `parquet:"client_cloud,dict"`
	ClientRegion string  `parquet:"client_region,dict"`
	Store        string  `parquet:"store,dict"`
	Class        string  `parquet:"class,dict"`
	Operation    string  `parquet:"operation,dict"`
	Reason       string  `parquet:"reason,dict"`
	Repository   string  `parquet:"repository,dict"`
	Source       string  `parquet:"source,dict"`
	Requests     float64 `parquet:"requests"`
	Bytes        float64 `parquet:"bytes"`
	Lines        int64   `parquet:"lines"`
	Squares      float64 `parquet:"squares"`
}

// fileObject is the schema of the files of objects.
type fileObject struct {
	Month        int32   `parquet:"month,date"`
	Digest       string  `parquet:"digest"`
	ClientCloud  string  `parquet:"client_cloud,dict"`
	ClientRegion string  `parquet:"client_region,dict"`
	Requests     float64 `parquet:"requests"`
	Bytes        float64 `parquet:"bytes"`
}

// The bounds of a file. What is written keeps them, and what is read must.
const (
	// MaxRows is how many rows a file may have.
	MaxRows = 50_000_000
	// MaxText is the longest text in a row, in bytes. A repository's name has at most 255 bytes.
	MaxText = 255
	// MaxFile is the largest file that is read, in bytes.
	MaxFile = 4 << 30

	// rowGroup is how many rows are together in the file: readers need memory for one group.
	rowGroup = 100_000
	// maxGroup bounds the bytes of a column of one group, expanded.
	maxGroup = 256 << 20
)

func encodeCovers(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

func decodeCovers(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// WriteRows writes a file with the rows, in their order, and returns how many there were. Files are smaller, and
// queries read less of them, when rows are sorted as [Compare] sorts them. The error is that of rows or of w.
func WriteRows(w io.Writer, m Meta, rows iter.Seq2[*traffic.Row, error]) (int64, error) {
	m.Kind = Rows
	return write(w, &m, func(yield func(*fileRow, error) bool) {
		var f fileRow
		for r, err := range rows {
			if err == nil {
				f = fileRow{
					Day: int32(r.Day), ClientCloud: r.Client.Cloud, ClientRegion: r.Client.Region, Store: r.Store, Class: string(r.Class),
					Operation: string(r.Operation), Reason: r.Reason, Repository: r.Repository, Source: string(r.Source),
					Requests: r.Requests, Bytes: r.Bytes, Lines: r.Lines, Squares: r.Squares,
				}
				err = f.check()
			}
			if !yield(&f, err) {
				return
			}
		}
	})
}

// WriteObjects writes a file with the objects, as [WriteRows] does.
func WriteObjects(w io.Writer, m Meta, objects iter.Seq2[*traffic.Object, error]) (int64, error) {
	m.Kind = Objects
	return write(w, &m, func(yield func(*fileObject, error) bool) {
		var f fileObject
		for o, err := range objects {
			if err == nil {
				f = fileObject{
					Month: int32(o.Month), Digest: o.Digest, ClientCloud: o.Client.Cloud, ClientRegion: o.Client.Region,
					Requests: o.Requests, Bytes: o.Bytes,
				}
				err = f.check()
			}
			if !yield(&f, err) {
				return
			}
		}
	})
}

func write[T any](w io.Writer, m *Meta, rows iter.Seq2[*T, error]) (n int64, err error) {
	meta, err := m.metadata()
	if err != nil {
		return 0, err
	}
	options := []parquet.WriterOption{
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedBetterCompression, Concurrency: 1}),
		parquet.CreatedBy("oci-proxyctl", fmt.Sprint(Version), ""),
		parquet.MaxRowsPerRowGroup(rowGroup), parquet.PageBufferSize(64 << 10), parquet.ColumnIndexSizeLimit(func([]string) int { return 32 }),
	}
	for name, text := range meta {
		options = append(options, parquet.KeyValueMetadata(name, text))
	}
	out := parquet.NewGenericWriter[T](w, options...)
	batch := make([]T, 0, 512)
	flush := func() error {
		_, err := out.Write(batch)
		batch = batch[:0]
		return err
	}
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		if n++; n > MaxRows {
			return n, fmt.Errorf("more than %d rows for one file: roll up fewer logs at once", MaxRows)
		}
		if batch = append(batch, *row); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, errors.Join(flush(), out.Close())
}

// check refuses rows that a reader would refuse.
func (f *fileRow) check() error {
	for _, text := range []string{f.ClientCloud, f.ClientRegion, f.Store, f.Class, f.Operation, f.Reason, f.Repository, f.Source} {
		if len(text) > MaxText {
			return fmt.Errorf("a text of %d bytes: at most %d are possible", len(text), MaxText)
		}
	}
	if f.Class != "" && !slices.Contains(traffic.Classes(), traffic.Class(f.Class)) {
		return fmt.Errorf("class %.40q is not known", f.Class)
	}
	return finite(f.Day, f.Requests, f.Bytes, f.Squares, float64(f.Lines))
}

func (f *fileObject) check() error {
	for _, text := range []string{f.ClientCloud, f.ClientRegion, f.Digest} {
		if len(text) > MaxText {
			return fmt.Errorf("a text of %d bytes: at most %d are possible", len(text), MaxText)
		}
	}
	return finite(f.Month, f.Requests, f.Bytes)
}

// lastDay is 9999-12-31: what most tools can show.
const lastDay = 2932896

func finite(day int32, figures ...float64) error {
	if day < 0 || day > lastDay {
		return fmt.Errorf("day %d after 1970 is not possible", day)
	}
	for _, v := range figures {
		if !(v >= 0 && v < math.MaxFloat64) {
			return fmt.Errorf("the figure %v is not possible", v)
		}
	}
	return nil
}
