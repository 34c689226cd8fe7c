// Package show writes a plan for people: tables, a chart of money against round trips, the stanzas and commands that
// follow.
//
// It must not know how a plan is made, or flags.
package show
