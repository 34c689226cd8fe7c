// Package transfer copies blobs into object stores. It reads each blob once from its source and writes it to every
// store where it is missing. It reports a blob as held by a store only after the stored content was compared with the
// digest.
//
// One [Engine] serves a whole pass. It downloads a blob into a spool (memory for small ones while there is some, else
// a file) while the stores already receive what has arrived. It hands out the last byte only after the digest
// matched, so nothing wrong is ever complete. Stores of one cloud copy among themselves. No store waits for another:
// the data that a slow store has not received yet waits for it on disk. A slow store loses some of that data only
// when the disk, or the number of tracked blobs, is used up and other stores need the room.
//
// The package knows blobs, sources and buckets. It must not know registries, inventories, images, or which blobs a
// store needs: the caller says so, and the caller records what became durable.
package transfer
