// Package publish writes publications into a bucket: contents, heads of rings, overrides, and the set of keys. Every
// write is a compare-and-swap, so two operators never overwrite each other without noticing.
//
// It must not know commands, flags, or what a configuration says.
package publish
