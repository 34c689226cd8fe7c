// Package write is the owner's side of an inventory, through the bucket. It writes an inventory with several writers
// at once, compacts and cleans it, and gathers the inventories of many stores into tables.
//
// A [Writer] over a [Bucket] turns each change into new immutable segments and then one compare-and-swap of the head.
// [Gather] and [Extend] make tables for the callers that fill stores. Package inventory has the format itself, and
// reading over HTTPS.
//
// The public server must not link this package: it reads published inventories and writes nothing. The package must
// not know the kind of store behind the bucket, where records come from, candidates, routing or configuration.
package write
