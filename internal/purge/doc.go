// Package purge takes blobs out of all stores: a takedown.
//
// First every inventory ceases to list the blob, then two refresh intervals pass, so that no
// server sends anybody there any more, and only then the object is deleted. It keeps no state: a purge that was interrupted is
// run again, and waits again when there is still an object, since nobody knows how long ago its inventory let go of it.
//
// It knows buckets and inventories. It must not know configuration or how things are printed, and whether
// the blob would come back with the next pass of a mirror is for its caller to make sure.
package purge
