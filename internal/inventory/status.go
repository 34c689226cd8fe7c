package inventory

import "time"

// State says whether a store's inventory counts.
type State uint8

const (
	Loading State = iota // not in the table yet, neither from the store nor from disk: ask the store by HEAD
	Current              // believed: a miss means absent
	Stale                // not rewritten, or not in the table, for longer than allowed: ask the store by HEAD
	Gone                 // the store answers 403 or 404 for its head: ask the store by HEAD
)

// String names the state, for logs, metrics and operators.
func (s State) String() string {
	return [...]string{"loading", "current", "stale", "gone"}[s]
}

// Status is what an operator wants to know about one store's inventory.
type Status struct {
	Store      string // its id
	State      State
	Generation uint64    // of the last good head; 0: none
	Content    uint64    // changes when the last good head lists other segments, not when it is only rewritten; 0: none
	WrittenAt  time.Time // when the last good head was written, by the writer's clock
	Checked    time.Time // when the store last said that this head is its newest one
	Segments   int       // of the last good head
	Bytes      int64     // of those segments
	Held       int       // digests the table says the store holds
	LastError  error     // why the newest inventory was not read, or is not in the table; nil: no error
	ErrorSince time.Time // since when there is an error
}
