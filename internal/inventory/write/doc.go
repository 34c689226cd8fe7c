// Package write knows the side of an inventory that only its owner sees, through the bucket: how it is written with several
// writers at once, compacted and cleaned, and how the inventories of many stores are gathered into tables.
//
// A [Writer] over a [Bucket] turns each change into new immutable segments, then one compare-and-swap of the head; [Gather] and
// [Extend] make tables for who fills stores. The format itself, and reading it over HTTPS, is package inventory's.
//
// The public server must not link this package: it reads what others publish, and writes nothing. The package must not know what
// kind of store the bucket is in, where records come from, candidates, routing or configuration.
package write
