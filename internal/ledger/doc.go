// Package ledger is what a writer of stores knows about all of them: which blobs each holds by its inventory, which images it
// has whole, and what has been put since.
//
// [Open] reads the inventories through the stores' own buckets. From then on [Ledger.Lacking] answers from memory, [Ledger.Add]
// takes note of what has been put, and the notes are written in batches: they are durable after [Ledger.Flush] or [Ledger.Finish].
// What a crash loses are notes of the last seconds; the blobs are there, and the next pass finds them.
//
// A store whose inventory cannot be read has a fault: it lacks nothing and accepts nothing, and the others go on.
// What other writers add meanwhile is seen at the next Open.
//
// The package knows inventories and buckets. It must not know where blobs come from, how they are put, or configuration.
package ledger
