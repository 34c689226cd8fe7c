// Package ledger is what a writer knows about all stores: which blobs each inventory lists, which images each store
// holds completely, and what was written since.
//
// [Open] reads the inventories through the stores' own buckets. From then on [Ledger.Lacking] answers from memory,
// and [Ledger.Add] notes what has been written. The notes are written in batches: they are durable after
// [Ledger.Flush] or [Ledger.Finish]. A crash loses the notes of the last seconds. The blobs are still there, and the
// next pass finds them.
//
// A store whose inventory cannot be read has a fault: the ledger lists nothing as missing there and accepts nothing
// for it, and goes on with the other stores. What other writers add meanwhile is seen at the next Open.
//
// The package knows inventories and buckets. It must not know where blobs come from, how they are written, or
// configuration.
package ledger
