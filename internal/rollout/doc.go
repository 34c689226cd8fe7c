// Package rollout publishes a change step by step. After each step it waits until the instances have it, watches them,
// and goes on, or goes back by itself.
//
// Its state lies in the bucket, signed and changed by compare-and-swap. So it can be ended at any moment, and continued
// anywhere. A lease keeps two of them apart. It never replaces what somebody else has published: it stops then.
//
// It must not know how gates decide, what a configuration says, or commands.
package rollout
