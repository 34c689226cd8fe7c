// Package snapshot turns a config into a routing snapshot. It knows which stanza is which candidate, how the
// candidates of two configs differ, and the file of measured round trips. It must not know what a snapshot is used
// for, listeners, requests or the state of candidates.
package snapshot
