// Package mirror fills stores from a registry. A pass walks the source, finds which blobs are missing in which
// stores, and has them copied there.
//
// It knows when an image is complete in a store, what a pass did and would do, and how passes follow each other. The
// state is in the stores: each inventory records the images that are complete in its store. The next pass, on any
// machine, skips them without a request.
//
// It must not know how registries are walked, how registries and stores are accessed, how bytes travel, or how
// results are shown on a terminal.
package mirror
