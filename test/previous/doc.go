// Package previous runs the previous release and this one on the same config, cache and inventories, in both orders.
//
// It knows the two programs, what they leave on disks and in buckets, and the answers that clients get. It must not know
// how the programs work inside.
package previous
