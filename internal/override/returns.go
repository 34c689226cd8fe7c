package override

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/publication"
)

// These say how a candidate comes back. It takes some five minutes when all goes well: long enough that a store which
// cannot stand the traffic shows it while half of the clients are elsewhere, short enough that a person waits for it.
const (
	// GoodProbes is how many probes in a row must be good before the first client is sent there.
	GoodProbes = 5
	// StepTime is how long each share holds at least. Clients of a share have then pulled some images, and the
	// candidate was probed about six times.
	StepTime = time.Minute
	// Recently is how long after an override's end an instance that starts still lets its candidate come back in steps.
	Recently = 15 * time.Minute
)

// steps are the shares of client networks, in percent, that a candidate gets one after another.
var steps = []int{0, 1, 5, 25, 50, 100}

// Proof is what probes have shown of a candidate since it began to come back.
type Proof struct {
	// Good counts good probes in a row. Fails counts all that failed. Blank counts turns in a row in which there was
	// nothing to probe with.
	Good, Fails, Blank int
	// Complete says that the good ones in the row read ranges, and from a position to the end as a client that resumes
	// does, as far as the candidate must be able to.
	Complete bool
	// Usable says that health would let clients go there.
	Usable bool
}

func (p *Proof) green() bool {
	if p.Good == 0 && p.Blank >= GoodProbes {
		// Nothing is known to be there, so nothing can be read. Existence checks protect the clients, and find objects
		// for the next probes.
		return p.Usable
	}
	return p.Usable && p.Complete && p.Good >= GoodProbes
}

// Returns follows the candidates that overrides keep out, until they get all of their clients again. Use it from one
// goroutine. The zero value follows none.
type Returns struct {
	all  map[string]*back
	over map[string]bool // ids of ended overrides whose end was seen
}

// back is one of these candidates.
type back struct {
	out     bool // an override still keeps it out
	step    int  // of steps
	since   time.Time
	good    int // probes that were good when the step began
	fails   int
	waiting string // what it waits for; "" when that is time
}

// Follow takes note of an effect, and of overrides that have ended. A candidate that is not kept out any more begins to
// come back. One that the config itself gives no clients is followed no more. o may be nil.
func (r *Returns) Follow(e *Effect, o *publication.Overrides, now time.Time) {
	if r.all == nil {
		r.all, r.over = map[string]*back{}, map[string]bool{}
	}
	for name := range e.Out {
		if b := r.all[name]; b == nil || !b.out {
			r.all[name] = &back{out: true, since: now}
		}
	}
	active := func(name string) bool {
		state, _ := stateOf(e.Config, name)
		return state != nil && *state == config.Active
	}
	for name, b := range r.all {
		switch {
		case e.Out[name] != "":
		case !active(name):
			delete(r.all, name)
		case b.out:
			*b = back{since: now}
		}
	}
	listed := map[string]bool{}
	for i := range overridesOf(o) {
		one := &o.Overrides[i]
		listed[one.ID] = true
		if one.Holds(now) || one.Action != publication.Off && one.Action != publication.Drain {
			continue
		}
		fresh := !r.over[one.ID] && now.Sub(one.Until) < Recently
		r.over[one.ID] = true
		if _, canonical := stateOf(e.Config, one.Candidate); fresh && !canonical && active(one.Candidate) && r.all[one.Candidate] == nil {
			r.all[one.Candidate] = &back{since: now}
		}
	}
	maps.DeleteFunc(r.over, func(id string, _ bool) bool { return !listed[id] })
}

func overridesOf(o *publication.Overrides) []publication.Override {
	if o == nil {
		return nil
	}
	return o.Overrides
}

// Judge moves a candidate that comes back by what its probes have shown, and returns its share in percent before and
// after. A failed probe takes it back to nothing. A candidate that does not come back stays at 100.
func (r *Returns) Judge(name string, p Proof, now time.Time) (from, to int) {
	b := r.all[name]
	if b == nil || b.out {
		return 100, 100
	}
	from = steps[b.step]
	b.waiting = ""
	switch {
	case p.Fails != b.fails:
		*b = back{since: now, fails: p.Fails, waiting: "a probe failed"}
	case !p.Usable && b.step > 0:
		*b = back{since: now, fails: p.Fails, waiting: "it is out of service"}
	case !p.green():
		b.waiting = fmt.Sprintf("%d good probes in a row, ranges and resumes included, of %d", min(p.Good, GoodProbes), GoodProbes)
	case b.step > 0 && now.Sub(b.since) < StepTime:
	case b.step > 0 && p.Good > 0 && p.Good <= b.good:
		b.waiting = "the next probe"
	default:
		*b = back{step: b.step + 1, since: now, good: p.Good, fails: p.Fails}
	}
	to = steps[b.step]
	if b.step == len(steps)-1 {
		delete(r.all, name)
	}
	return from, to
}

// Return is where a candidate stands that comes back.
type Return struct {
	Name string
	// Percent of the client networks may be sent there.
	Percent int
	// Since is when it got this share.
	Since time.Time
	// Waiting says what it waits for; "" when that is time.
	Waiting string
}

// List returns the candidates that come back, by name.
func (r *Returns) List() (out []Return) {
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		if b := r.all[name]; !b.out {
			out = append(out, Return{name, steps[b.step], b.since, b.waiting})
		}
	}
	return out
}

// Text describes where the candidate stands.
func (r *Return) Text() string {
	text := fmt.Sprintf("comes back after an override in steps, with %d %% of the client networks now", r.Percent)
	if r.Waiting != "" {
		text += ", and waits: " + r.Waiting
	}
	return text
}

// Hold returns cfg with the candidates that come back and may not have a client yet switched off. It changes nothing
// in cfg.
func Hold(cfg *config.Config, returning []Return) *config.Config {
	out := *cfg
	out.Stores, out.Upstreams = slices.Clone(cfg.Stores), slices.Clone(cfg.Upstreams)
	for i := range returning {
		if state, _ := stateOf(&out, returning[i].Name); state != nil && returning[i].Percent == 0 {
			*state = config.Off
		}
	}
	return &out
}
