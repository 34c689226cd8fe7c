// Package route decides where a request goes.
//
// It owns [Snapshot], the immutable set of everything a decision needs: candidates, the ranking of every
// place, pins and denials. [Decide] is pure: the same request, client, snapshot and state always give the
// same decision, without I/O, clock or allocation, so that it can be tabled, fuzzed and explained.
//
// It knows the score of docs/decisions/0001-routing-is-one-formula.md (latency + weight × price), what decides between equal
// ones, and who may serve whom. It must not know HTTP,
// configuration files, where a client's address came from, or how health and existence are found out: those
// arrive as the three bitsets of [State].
package route
