// Package mirror fills stores from a registry: a pass walks what the source has, finds which blobs which stores lack, and has
// them brought there.
//
// It knows when an image is complete in a store, what a pass did and would do, and how passes follow each other. State lies in
// the stores: an image that is complete in a store is recorded in that store's inventory, and the next pass, on whatever
// machine, skips it without a request.
//
// It must not know how registries are walked, how they and stores are spoken to, how bytes travel, or how any of it is shown on
// a terminal.
package mirror
