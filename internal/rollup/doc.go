// Package rollup keeps what was counted of the requests for blobs in small Parquet files: rows by day, client place,
// store, class, operation, reason, repository and source, and the digests that were asked for most.
//
// It has three parts. [Collector] adds up requests on all cores in bounded memory, leaves out duplicates, and spills
// sorted runs to disk. [WriteRows] and [WriteObjects] make files, whose metadata say what they were made from ([Meta]).
// [Read] and [ReadObjects] read the roll-ups of a directory, a pattern of file names or a bucket, and are strict about
// files of others.
//
// It must not know logs, their layouts, where they lie, prices.
package rollup
