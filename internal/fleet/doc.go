// Package fleet is the stores of a config, opened for writing: their buckets, what their inventories say, and the engine that brings
// blobs into them.
//
// It knows how a config names buckets and places, and what must be true before the first byte is written to one of them: that it
// is ours, and that its public URL shows what we write. With [Fleet.Ensure] a blob that is durable is also recorded, so that whoever
// fills stores (mirror, promote) or looks after them (audit) cannot forget it.
//
// It must not know where blobs come from, what an image is, or which stores should have what.
package fleet
