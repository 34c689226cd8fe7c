// Package gather reads logs on all cores, classifies each line, and gives what counts to a collector of roll-ups.
//
// It must not know where logs lie, prices, how to show results.
package gather
