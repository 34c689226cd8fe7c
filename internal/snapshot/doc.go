// Package snapshot knows how a config becomes a routing snapshot: which stanza is which candidate, what of them differs
// between two configs, and the file of measured round trips. It must not know what a snapshot is used for, listeners,
// requests or the state of candidates.
package snapshot
