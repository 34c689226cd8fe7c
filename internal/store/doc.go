// Package store writes to object stores. It has one contract ([Bucket]) for Amazon S3 and compatible stores, Google
// Cloud Storage, Azure Blob Storage and a directory of files.
//
// It writes to each of them so that nothing wrong is ever visible: it puts an object only if it is absent, sends a
// checksum that the store verifies itself, and commits only after the content's digest was compared. It must not know
// inventories, registries, what a key means, or which of several stores to write to.
package store
