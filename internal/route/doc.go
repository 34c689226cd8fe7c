// Package route decides where a request goes.
//
// It owns [Snapshot], the immutable set of everything a decision needs: candidates, the ranking for every place, pins
// and denials. [Decide] is pure: the same request, client, snapshot and state always give the same decision, without
// I/O, clock or allocation. So a decision can be tested in tables, fuzzed and explained.
//
// It knows the score of docs/decisions/0001-routing-is-one-formula.md (latency + weight × price), how ties are
// decided, and which candidates may serve which clients. It must not know HTTP, configuration files, the source of a
// client's address, or how health and existence are found out: those arrive as the three bitsets of [State].
package route
