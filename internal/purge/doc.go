// Package purge removes blobs from all stores: a takedown.
//
// First it removes the blob from every inventory. Then it waits two refresh intervals, so that no server sends
// clients there any more. Only then it deletes the object. It keeps no state: run an interrupted purge again. It
// waits again when the object still exists, since it does not know how long ago the inventory stopped listing it.
//
// It knows buckets and inventories. It must not know configuration or how results are printed. The caller makes sure
// that the next pass of a mirror does not bring the blob back.
package purge
