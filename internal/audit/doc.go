// Package audit answers one question: does every store hold every blob of every image, complete and correct?
//
// A walk of the source says what the images need. A store's content comes from its inventory, from a listing of its
// bucket, from requests for single objects, or from reading them. The package merges both in the order of the digests.
// So it never holds a store's lists in memory; it holds only what the images need (some 200 bytes for each blob). [Run]
// compares and reports, and changes nothing. [Audit.Repair] fixes what Run found, in an order that never makes a record
// wronger than it was before.
//
// The package knows object stores, records of inventories, and images as lists of blobs. It must not know how a
// source is walked, configuration, commands, or how results are printed.
package audit
