package status

import (
	"ociproxy/internal/check/judge"
	"ociproxy/internal/probe"
)

// State is what outsiders are told. It is a closed set: the JSON document has these words.
type State string

// The states.
const (
	Up       State = "up"       // pulls work
	Degraded State = "degraded" // pulls work here, but not for clients of other places, or not over both IP families
	Down     State = "down"     // pulls fail
	Unknown  State = "unknown"  // nobody knows: no run says anything
)

// pullChecks are the checks that a pull cannot do without.
var pullChecks = map[string]bool{"ping": true, "tag": true, "manifest": true, "redirect": true, "blob": true, "layer": true}

// familyChecks are about one IP family: most clients have the other, too.
var familyChecks = map[string]bool{"ipv4": true, "ipv6": true}

// Of returns what a run says about pulls: those of the probe's own machine, and those of clients elsewhere.
func Of(r *probe.Report) State {
	state := Unknown
	for i := range r.Findings {
		f := &r.Findings[i]
		failed, pull := f.Result == judge.Failed, pullChecks[f.Check]
		switch {
		case failed && pull && f.As == probe.Self.Name:
			return Down
		case failed && (pull || familyChecks[f.Check] && f.Host == r.Name):
			state = Degraded
		case pull && f.As == probe.Self.Name && f.Result != probe.Skipped && state == Unknown:
			state = Up
		}
	}
	return state
}

// together returns the state of a name from those of its vantages.
func together(states []State) State {
	count := map[State]int{}
	for _, s := range states {
		count[s]++
	}
	switch known := len(states) - count[Unknown]; {
	case known == 0:
		return Unknown
	case count[Down] == known:
		return Down
	case count[Up] == known:
		return Up
	default:
		return Degraded
	}
}
