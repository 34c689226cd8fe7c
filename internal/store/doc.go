// Package store writes to object stores: one contract ([Bucket]) for Amazon S3 and what speaks it, Google Cloud Storage, Azure
// Blob Storage and a directory of files.
//
// It knows how each of them takes an object so that nothing wrong is ever visible: put if absent, checked against a checksum
// the store computes itself, committed only after the content's digest was compared. It must not know inventories,
// registries, what a key means, or which of several stores is to be written.
package store
