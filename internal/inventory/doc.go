// Package inventory knows the published list of what a store holds. It defines the format of the head and the
// segments, reads them over HTTPS, and builds the union table that says for every digest which stores hold it.
//
// A store's inventory is next to its blobs:
//
//	inventory/head.json      the only mutable object: generation, time, ordered list of segments
//	inventory/seg/<sha256>   immutable: ascending records of digest, size, kind; named by the hash of its bytes
//
// Later segments win over earlier ones. A tombstone says that the store no longer holds a digest. sha256 and sha512
// digests lie in separate segments, and so do images: these are notes for writers, and servers do not read them. With
// an inventory, a miss means absent: there is no need to ask the store. docs/inventory.md has the format and the
// rules of writing.
//
// Reading: a [Follower] has one [Reader] for each store, all over one cache of segments. It builds a [Table] whenever
// one of them has news. Whatever fails, the last good inventory stays in use, also after a restart. The reader stops
// believing an inventory in two cases only: the store says that it is gone, or nobody has rewritten it for a long
// time (see [State]).
//
// Package write does the writing; the public server does not link it. This package holds what both need: the format,
// and [Table.With].
//
// The package must not know how inventories are written, candidates, routing or configuration: to it, a store is an
// id, a URL and an index. Its callers decide what to do with a store that is not believed.
package inventory
