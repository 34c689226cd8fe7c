// Command inventory measures what the inventories of many stores cost a proxy: bytes a digest, time of a look-up and of building
// the table, and resident memory while they are read and refreshed. It prints one line "name value unit" a figure.
//
// The stores are served over loopback by this process; a child process reads them as a proxy does, so that its
// memory is that of the reader alone. 33 stores list a million digests (ten million, to show growth), 98 % of
// which all of them hold; of the others each store holds a random half. They come in two shapes:
//
//	shared     what all stores hold is one segment that all of them list, as a mirror writes it
//	distinct   each store lists everything in one segment of its own, as after compactions at different times
//
// Times of building are the best of several, those of look-ups the median of blocks; both depend on what else the machine does. Therefore
// inventory.memory_latency is printed: one random read that depends on the one before it, in as much memory as the table takes.
//
//	inventory.first_read_*   from nothing to a table: heads and segments over loopback, onto disk
//	inventory.build_*        the table from all segments on disk
//	inventory.refresh_*      the table again when every store has a thousand more digests
//	inventory.restart_*      from the copies on disk to a table, hashes checked
//	memory.inventory.*       resident during refreshes under look-ups, every page of the table touched
package main
