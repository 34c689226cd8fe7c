package rollup

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"

	"ociproxy/internal/parquetfile"
	"ociproxy/internal/place"
	"ociproxy/internal/traffic"
)

// batchRows is how many rows are decoded at once.
const batchRows = 1024

// The columns of rows in the order of fileRow, which decodeRows reads one by one: filling structs by reflection, text by
// text, takes three times as long.
const (
	columnDay = iota
	columnCloud
	columnRegion
	columnStore
	columnClass
	columnOperation
	columnReason
	columnRepository
	columnSource
	columnRequests
	columnBytes
	columnLines
	columnSquares
)

// decodeRows calls give with the rows of an open file, until it returns false. get returns an empty batch with room for
// [batchRows] rows.
func decodeRows(o *opened, opt *Options, get func() []traffic.Row, give func([]traffic.Row) bool) (err error) {
	if err := parquetfile.CheckPages(o.in, o.size, o.file, o.columns); err != nil {
		return err
	}
	defer parquetfile.Recovered(&err)
	d := newDecoder()
	defer d.close()
	for _, group := range o.file.RowGroups() {
		if err := d.open(group, o.columns); err != nil {
			return err
		}
		d.columns[columnClass].check = checkClass
		for left := group.NumRows(); left > 0; {
			batch := get()[:min(left, batchRows)]
			if err := d.rows(batch); err != nil {
				return err
			}
			left -= int64(len(batch))
			if batch = slices.DeleteFunc(batch, func(r traffic.Row) bool { return r.Day < opt.Begin || opt.End > 0 && r.Day >= opt.End }); !give(batch) {
				return nil
			}
		}
	}
	return nil
}

// decodeObjects calls give with the objects of an open file, until it returns false.
func decodeObjects(o *opened, opt *Options, give func([]traffic.Object) bool) (err error) {
	if err := parquetfile.CheckPages(o.in, o.size, o.file, o.columns); err != nil {
		return err
	}
	defer parquetfile.Recovered(&err)
	d := newDecoder()
	defer d.close()
	for _, group := range o.file.RowGroups() {
		if err := d.open(group, o.columns); err != nil {
			return err
		}
		for left := group.NumRows(); left > 0; {
			batch := make([]traffic.Object, min(left, batchRows))
			if err := d.objects(batch); err != nil {
				return err
			}
			left -= int64(len(batch))
			if batch = slices.DeleteFunc(batch, func(x traffic.Object) bool {
				return x.Month < monthOf(max(opt.Begin, 0)) || opt.End > 0 && x.Month >= opt.End
			}); !give(batch) {
				return nil
			}
		}
	}
	return nil
}

// decoder decodes the columns of groups of rows.
type decoder struct {
	columns []columnReader
	in      interned
	texts   []string
	numbers []float64
}

func newDecoder() *decoder {
	return &decoder{texts: make([]string, batchRows), numbers: make([]float64, batchRows)}
}

func (d *decoder) close() {
	for i := range d.columns {
		d.columns[i].close()
	}
}

func (d *decoder) open(group parquet.RowGroup, at []int) error {
	d.close()
	chunks := group.ColumnChunks()
	d.columns = make([]columnReader, len(at))
	for i := range d.columns {
		if at[i] >= len(chunks) {
			return fmt.Errorf("the file is damaged: a group of rows has %d columns", len(chunks))
		}
		d.columns[i] = columnReader{pages: chunks[at[i]].Pages(), in: &d.in, rows: group.NumRows()}
	}
	return nil
}

func checkClass(text string) error {
	if text != "" && !slices.Contains(traffic.Classes(), traffic.Class(text)) {
		return fmt.Errorf("class %.40q is not known", text)
	}
	return nil
}

// nextTexts returns the next n texts of a column. They are valid until the next call.
func (d *decoder) nextTexts(column, n int) ([]string, error) {
	texts := d.texts[:n]
	return texts, d.columns[column].read(n, func(c *columnReader, to, n int) error { return c.readTexts(texts[to : to+n]) })
}

// nextNumbers does the same for numbers.
func (d *decoder) nextNumbers(column, n int) ([]float64, error) {
	numbers := d.numbers[:n]
	return numbers, d.columns[column].read(n, func(c *columnReader, to, n int) error { return c.readNumbers(numbers[to : to+n]) })
}

// rows decodes the next rows, and refuses those that cannot be.
func (d *decoder) rows(batch []traffic.Row) error {
	for i := columnCloud; i <= columnSource; i++ {
		texts, err := d.nextTexts(i, len(batch))
		if err != nil {
			return err
		}
		for j := range batch {
			k := &batch[j].Key
			switch text := texts[j]; i {
			case columnCloud:
				k.Client = place.Place{Cloud: text}
			case columnRegion:
				k.Client.Region = text
			case columnStore:
				k.Store = text
			case columnClass:
				k.Class = traffic.Class(text)
			case columnOperation:
				k.Operation = traffic.Operation(text)
			case columnReason:
				k.Reason = text
			case columnRepository:
				k.Repository = text
			case columnSource:
				k.Source = traffic.Source(text)
			}
		}
	}
	for _, i := range []int{columnDay, columnRequests, columnBytes, columnLines, columnSquares} {
		numbers, err := d.nextNumbers(i, len(batch))
		if err != nil {
			return err
		}
		for j, v := range numbers {
			r := &batch[j]
			switch i {
			case columnDay:
				r.Day = traffic.Day(v)
			case columnRequests:
				r.Requests = v
			case columnBytes:
				r.Bytes = v
			case columnLines:
				r.Lines = int64(v)
			case columnSquares:
				r.Squares = v
			}
		}
	}
	for j := range batch {
		r := &batch[j]
		if err := finite(int32(r.Day), r.Requests, r.Bytes, r.Squares, float64(r.Lines)); err != nil {
			return err
		}
	}
	return nil
}

// objects decodes the next objects, and refuses those that cannot be. The columns are in the order of fileObject.
func (d *decoder) objects(batch []traffic.Object) error {
	const month, digest, cloud, region, requests, sent = 0, 1, 2, 3, 4, 5
	for _, i := range []int{digest, cloud, region} {
		texts, err := d.nextTexts(i, len(batch))
		if err != nil {
			return err
		}
		for j, text := range texts {
			switch i {
			case digest:
				batch[j].Digest = text
			case cloud:
				batch[j].Client.Cloud = text
			case region:
				batch[j].Client.Region = text
			}
		}
	}
	for _, i := range []int{month, requests, sent} {
		numbers, err := d.nextNumbers(i, len(batch))
		if err != nil {
			return err
		}
		for j, v := range numbers {
			switch i {
			case month:
				batch[j].Month = traffic.Day(v)
			case requests:
				batch[j].Requests = v
			case sent:
				batch[j].Bytes = v
			}
		}
	}
	for j := range batch {
		if o := &batch[j]; finite(int32(o.Month), o.Requests, o.Bytes) != nil {
			return finite(int32(o.Month), o.Requests, o.Bytes)
		}
	}
	return nil
}

// columnReader reads the values of one column of a group of rows.
type columnReader struct {
	pages parquet.Pages
	rows  int64 // of the group
	in    *interned
	check func(text string) error // nil: any text is right

	page   parquet.Page // nil: the next one is to be read
	values encoding.Values
	at     int // of the next value in the page

	dict  parquet.Dictionary // nil: the page has its values itself
	texts []string           // of dict; only those that known has
	known []bool
}

func (c *columnReader) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	if c.pages != nil {
		_ = c.pages.Close() // only read
	}
	*c = columnReader{}
}

// read calls some for parts of the next n values, each of which is in one page.
func (c *columnReader) read(n int, some func(c *columnReader, to, n int) error) error {
	for done := 0; done < n; {
		if c.page == nil {
			if err := c.next(); err != nil {
				return err
			}
		}
		part := min(n-done, int(c.page.NumValues())-c.at)
		if err := some(c, done, part); err != nil {
			return err
		}
		done += part
		if c.at += part; c.at == int(c.page.NumValues()) {
			parquet.Release(c.page)
			c.page = nil
		}
	}
	return nil
}

func (c *columnReader) next() error {
	page, err := c.pages.ReadPage()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	c.page, c.values, c.at = page, page.Data(), 0
	if dict := page.Dictionary(); dict != c.dict {
		c.dict, c.texts, c.known = dict, nil, nil
		if dict != nil && int64(dict.Len()) > c.rows {
			return fmt.Errorf("the file is damaged: %d different values in %d rows", dict.Len(), c.rows)
		}
	}
	return nil
}

// readTexts reads the next texts, which are all in the page.
func (c *columnReader) readTexts(to []string) error {
	if c.dict == nil {
		data, offsets := c.values.ByteArray()
		for i := range to {
			text, err := c.text(data[offsets[c.at+i]:offsets[c.at+i+1]])
			if err != nil {
				return err
			}
			to[i] = text
		}
		return nil
	}
	if c.texts == nil {
		c.texts, c.known = make([]string, c.dict.Len()), make([]bool, c.dict.Len())
	}
	for i, index := range c.values.Int32()[c.at : c.at+len(to)] {
		if !c.known[index] {
			text, err := c.text(c.dict.Index(index).ByteArray())
			if err != nil {
				return err
			}
			c.texts[index], c.known[index] = text, true
		}
		to[i] = c.texts[index]
	}
	return nil
}

func (c *columnReader) text(raw []byte) (string, error) {
	if len(raw) > MaxText {
		return "", fmt.Errorf("a text of %d bytes: at most %d are possible", len(raw), MaxText)
	}
	text, ok := (*c.in)[string(raw)]
	if !ok {
		text = c.in.of(string(raw))
	}
	if c.check != nil {
		return text, c.check(text)
	}
	return text, nil
}

// readNumbers reads the next numbers, which are all in the page. Lines up to 2^53 are exact.
func (c *columnReader) readNumbers(to []float64) error {
	if c.dict != nil {
		for i, index := range c.values.Int32()[c.at : c.at+len(to)] {
			switch v := c.dict.Index(index); v.Kind() {
			case parquet.Int32:
				to[i] = float64(v.Int32())
			case parquet.Int64:
				to[i] = float64(v.Int64())
			default:
				to[i] = v.Double()
			}
		}
		return nil
	}
	switch c.values.Kind() {
	case encoding.Int32:
		for i, v := range c.values.Int32()[c.at : c.at+len(to)] {
			to[i] = float64(v)
		}
	case encoding.Int64:
		for i, v := range c.values.Int64()[c.at : c.at+len(to)] {
			to[i] = float64(v)
		}
	default:
		copy(to, c.values.Double()[c.at:c.at+len(to)])
	}
	return nil
}

// interned gives equal texts one memory: millions of rows have a few hundred different ones.
type interned map[string]string

// maxInterned bounds the memory for texts that are all different.
const maxInterned = 100_000

func (in *interned) of(text string) string {
	if one, ok := (*in)[text]; ok {
		return one
	}
	if *in == nil || len(*in) >= maxInterned {
		*in = interned{}
	}
	text = strings.Clone(text)
	(*in)[text] = text
	return text
}
