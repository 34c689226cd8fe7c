// Package inventorytest helps tests of inventories. It has a bucket in memory, with faults on demand and an HTTP side
// for readers, and the suite that every implementation of [write.Bucket] must pass.
package inventorytest
