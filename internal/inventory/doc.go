// Package inventory knows the published list of what a store holds: the format of its head and segments, how it is
// read over HTTPS, and the union table that answers for all stores which of them hold a digest.
//
// A store's inventory lies beside its blobs:
//
//	inventory/head.json      the only mutable object: generation, time, ordered list of segments
//	inventory/seg/<sha256>   immutable: ascending records of digest, size, kind; named by the hash of its bytes
//
// Later segments win over earlier ones; a tombstone says that a digest is held no longer. sha256 and sha512 digests
// lie in segments of their own, and so do images: notes among writers which servers do not read. With an inventory a
// miss means absent: nobody has to ask the store. docs/inventory.md has the format and the rules of writing.
//
// Reading: a [Follower] has one [Reader] a store, all over one cache of segments, and builds a [Table] whenever one of them
// has news. Whatever goes wrong, the last good inventory stays, over a restart too; only a store that says its
// inventory is gone, or whose inventory nobody has rewritten for long, is no longer believed (see [State]).
//
// Writing is the business of package write, which the public server does not link. What both need is here: the format, and the
// table's [Table.With].
//
// The package must not know how inventories are written, candidates, routing or configuration: a store is an id, a URL and an index to it. What to do with a
// store that is not believed is for others to say.
package inventory
