// Package parquetfile opens Parquet files that others wrote, with bounds.
//
// It knows what a damaged or hostile file can make the library do: panic, and ask for memory that has nothing to do with
// the size of the file. It must not know what the columns mean.
package parquetfile
