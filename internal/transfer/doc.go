// Package transfer brings blobs into object stores: each is read from its source once and written to every store that lacks it,
// and a store is said to hold it only when what lies there was compared with the digest.
//
// One [Engine] serves a whole pass. A blob is downloaded into a spool (memory for small ones while there is some, else a file) while the
// stores already take what has arrived; its last byte is handed out only after the digest matched, so nothing wrong is ever complete.
// Stores of one cloud copy among themselves. No store waits for another: what a slow one has not taken yet waits for it on disk. It loses
// some of that only when the disk, or the number of blobs that are kept track of, is used up and others need it.
//
// The package knows blobs, sources and buckets. It must not know registries, inventories, images, or which store lacks what: the
// caller says so, and the caller records what became durable.
package transfer
