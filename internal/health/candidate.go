package health

import (
	"sync/atomic"
	"time"
)

// moment is a point of monotonic time, counted from the monitor's start. Wall time never decides anything.
type moment = time.Duration

// standing is the state of a candidate.
type standing uint8

const (
	inService standing = iota
	ejected
	// joining says that a reload added the candidate, and that it was not yet seen to work.
	joining
)

var standingNames = [...]string{"in service", "ejected", "joining"}

func (s standing) String() string { return standingNames[s] }

// candidate is a target and what is known about it. The monitor's lock guards all fields but the atomic ones.
type candidate struct {
	Target

	standing standing
	since    time.Time // of the standing; only for people
	ejected  moment    // when it was ejected

	// These are the results of its probes. Neutral results change none of them.
	heard     bool // it was probed, or its turn passed without an object
	probed    bool // there was a verdict
	failing   bool // the last verdict was a failure
	failures  int  // in a row
	successes int  // in a row
	proof     int  // successes in a row since trouble began

	// These say when it is next probed.
	asked   bool   // a probe was made, and no gap came since
	running bool   // a probe is under way
	prompt  bool   // probe as soon as possible, to see who else fails
	neutral bool   // the last probe gave no signal
	last    moment // end of the last probe
	verdict moment // time of the last verdict
	failed  moment // when it began to fail
	jitter  float64
	sterile int // turns in a row without an object to probe with
	turn    int // what the next probe reads; see choose
	kept    Object
	hasKept bool
	denied  bool // it did not have the object of the last probe

	proven proven // since its target asked for a proof

	lastProbe   time.Time // only for people
	lastErr     string
	lastErrTime time.Time

	seen    atomic.Int64 // moment when clients were last sent there; negative: never
	suspect atomic.Bool  // a client or check met an error
}

// proven counts the probes of a candidate whose target asks for a proof.
type proven struct {
	good, fails, blank int
	ranges, resumes    bool // the good ones in a row read a range; from a position to the end
}

// note counts a result.
func (p *proven) note(r result) {
	switch r.outcome {
	case pass:
		p.good++
		p.blank = 0
		p.ranges = p.ranges || r.kind == byteRange
		p.resumes = p.resumes || r.kind == openRange
	case fail:
		*p = proven{fails: p.fails + 1}
	case barren:
		p.blank++
	case neutral:
		p.blank = 0
	}
}

// outcome is what a probe says about a candidate.
type outcome uint8

const (
	pass outcome = iota
	fail
	neutral
	// barren says that there was nothing to probe with.
	barren
)
