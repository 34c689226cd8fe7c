// Package region knows how a store comes into a region, and how it goes again.
//
// It drafts the stanza of a new store after those that the config has in the same cloud, and says which step of the walk
// comes next when it is told what is there. It must not know commands, flags, files, buckets or publications: what is
// there comes as [Facts].
package region
