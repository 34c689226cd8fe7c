// Package replay predicts what a change of the config does. [Predict] needs no log: it says at which places clients go
// elsewhere. [Replay] decides recorded requests under two configs with the functions that the server uses, and says
// which requests and bytes move, what that costs, and how round trips change.
//
// Both assume that all candidates work and hold everything. The package must not know logs' layouts, flags, how to show
// results.
package replay
