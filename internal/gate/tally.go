package gate

import (
	"fmt"
	"time"
)

// Tally remembers the last results of each gate, so that one bad second changes nothing, and a gate that flaps does not
// pass.
type Tally struct {
	file  *File
	gates []history // by gate
	good  int       // evaluations in a row that were good
}

// NewTally makes a Tally with the counts of a file.
func NewTally(f *File) *Tally { return &Tally{file: f, gates: make([]history, len(f.Gates))} }

// history is the last results of one gate, the newest last.
type history struct {
	last time.Time
	bad  []bool
}

// Outcome is what the evaluations say together.
type Outcome struct {
	Bad    []Result // of the gates that were bad too often; each is its last bad one
	Good   bool     // the last evaluations in a row were good
	Detail string   // why it is not good
}

// Add adds an evaluation of the gates of the file.
func (t *Tally) Add(e *Evaluation) Outcome {
	var out Outcome
	note := func(format string, args ...any) {
		if out.Detail == "" {
			out.Detail = fmt.Sprintf(format, args...)
		}
	}
	for i, r := range e.Results {
		g, h := &t.file.Gates[i], &t.gates[i]
		if r.At.After(h.last) { // a command's result counts once
			h.last = r.At
			h.bad = append(h.bad, r.Verdict == Bad)
			h.bad = h.bad[max(0, len(h.bad)-g.Of):]
		}
		n := 0
		for _, bad := range h.bad {
			if bad {
				n++
			}
		}
		switch {
		case r.Verdict == Bad && n >= g.Bad:
			out.Bad = append(out.Bad, r)
			note("%s: %s", r.Gate, r.Detail)
		case r.Verdict != Good:
			note("%s: %s", r.Gate, r.Detail)
		}
	}
	switch {
	case out.Detail != "":
	case e.Traffic != "":
		note("too little traffic: %s", e.Traffic)
	case !e.Presence.OK:
		note("instances: %s", e.Presence.Detail)
	}
	if out.Detail != "" {
		t.good = 0
		return out
	}
	if t.good++; t.good < t.file.Good {
		note("%d of %d good evaluations", t.good, t.file.Good)
		return out
	}
	out.Good = true
	return out
}
