// Package audit answers one question: is every blob of every image in every store, whole?
//
// What the images need comes from a walk of the source; what a store has, from its inventory, from a listing of its bucket, from
// questions about single objects, or from reading them. The two are merged in the order of the digests, so that a store's
// lists are never held in memory; what images need is (some 200 bytes a blob). [Run] compares and reports, and changes nothing.
// [Repair] makes good what Run found wrong, in an order in which nothing that is believed is ever wronger than before.
//
// The package knows object stores, records of inventories, and images as lists of blobs. It must not know how a source is
// walked, configuration, commands, or how things are printed.
package audit
