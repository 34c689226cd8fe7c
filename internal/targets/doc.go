// Package targets opens the stores of a config for writing: their buckets, the content of their inventories, and the
// engine that copies blobs into them.
//
// It knows how a config names buckets and places, and what must be true before the first byte is written to a bucket:
// the bucket is ours, and its public URL shows what we write. [Set.Ensure] also records each durable blob in the
// inventory, so that the callers that fill stores (mirror, promote) or check them (audit) cannot forget it.
//
// It must not know where blobs come from, what an image is, or which stores should hold what.
package targets
