// Package parquetfiletest damages Parquet files as an attacker does, for tests.
package parquetfiletest

import "github.com/parquet-go/parquet-go/format"

// Hostile makes the first page of a column say that it has 2 GiB. data is the whole file.
func Hostile(data []byte, c *format.ColumnMetaData) {
	at := c.DataPageOffset
	if c.DictionaryPageOffset != 0 {
		at = c.DictionaryPageOffset
	}
	// Thrift's compact form: type 0, both sizes 2^31-1, then a header of a data page with one value.
	copy(data[at:], "\x15\x00\x15\xfe\xff\xff\xff\x0f\x15\xfe\xff\xff\xff\x0f\x2c\x15\x02\x15\x00\x15\x00\x15\x00\x00\x00")
}
