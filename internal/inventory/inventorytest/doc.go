// Package inventorytest has what tests around inventories need: a bucket in memory, with faults on demand and an HTTP side to read it
// by, and the suite that every implementation of [write.Bucket] must pass.
package inventorytest
