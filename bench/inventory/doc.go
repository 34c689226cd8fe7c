// Command inventory measures what the inventories of many stores cost a proxy: bytes per digest, the time of a look-up,
// the time to build the table, and resident memory while the proxy reads and refreshes them. It prints one line "name
// value unit" per figure.
//
// This process serves the stores over loopback. A child process reads them as a proxy does, so that its memory is that
// of the reader alone. 33 stores list a million digests (ten million, to show growth). All stores hold 98 % of the
// digests; each store holds a random half of the others. The stores come in two shapes:
//
//	shared     one segment, listed by all stores, has what all of them hold, as a mirror writes it
//	distinct   each store lists everything in one segment of its own, as after compactions at different times
//
// Times of building are the best of several runs, times of look-ups the median of blocks. Both depend on what else the
// machine does. For comparison, inventory.memory_latency is the time of one random read that depends on the read before
// it, in as much memory as the table takes.
//
//	inventory.first_read_*   from nothing to a table: heads and segments come over loopback and go to disk
//	inventory.build_*        the table from all segments on disk
//	inventory.refresh_*      the table again, after every store has added a thousand digests
//	inventory.restart_*      from the copies on disk to a table, with their hashes checked
//	memory.inventory.*       resident memory during refreshes and look-ups, every page of the table touched
package main
