package record

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"ociproxy/internal/console/view"
)

// remember is how long events are kept; [view.MaxEvents] bounds their number.
const remember = time.Hour

// standing is the state of a candidate as it was last seen.
type standing struct {
	state  view.State
	since  time.Time
	before bool // state began before the first sample, at an unknown time
	had    before
}

// follow compares a sample with the one before, notes what changed, and completes when states began.
func (r *Recorder) follow(v *view.View, holding []string) {
	first := r.standings == nil
	next := make(map[string]standing, len(v.Candidates))
	room := remembered
	for _, s := range r.standings {
		if s.had != nil {
			room--
		}
	}
	for i := range v.Candidates {
		c := &v.Candidates[i]
		was, known := r.standings[c.Name]
		s := standing{state: c.State, since: c.Since}
		switch {
		case known && was.state == c.State && (c.Since.IsZero() || c.Since.Equal(was.since)):
			s = was
		case known && was.state == c.State: // it changed and changed back between two samples
			s.had = was.had
			r.note(s.since, view.Warning, c.Name, "left and came back to: "+string(c.State))
		default:
			if s.since.IsZero() {
				s.since, s.before = v.At, first
			}
			if c.State.Away() && known && !was.state.Away() && room > 0 {
				s.had = r.history.carried(c.Name, s.since)
				room--
			} else if c.State.Away() {
				s.had = was.had
			}
			if !first {
				r.changed = v.At
				r.transition(c, s.since, was, known)
			}
		}
		c.Since, c.Before = s.since, s.before
		next[c.Name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(r.standings)) {
		if _, stays := next[name]; !stays {
			r.note(v.At, view.Warning, name, "was removed from the config")
		}
	}
	r.standings = next
	r.compare(v, holding, first)
}

func (r *Recorder) transition(c *view.Candidate, since time.Time, was standing, known bool) {
	why := ""
	if c.Why != "" {
		why = ": " + c.Why
	}
	switch {
	case !known:
		r.note(since, view.Warning, c.Name, "was added")
	case c.State == view.Out:
		r.note(since, view.Bad, c.Name, "went out of service"+why)
	case c.State == view.In && was.state == view.Out && !was.since.IsZero():
		r.note(since, view.OK, c.Name, "is back in service after "+since.Sub(was.since).Round(time.Second).String())
	case c.State == view.In:
		r.note(since, view.OK, c.Name, "is in service")
	case c.State == view.Drained:
		r.note(since, view.Warning, c.Name, "was taken out"+why)
	default:
		r.note(since, view.Warning, c.Name, string(c.State)+why)
	}
}

// compare notes what changed beside the candidates' states.
func (r *Recorder) compare(v *view.View, holding []string, first bool) {
	levels := map[string]view.Level{}
	words := map[string]string{}
	set := func(subject string, l view.Level, text string) { levels[subject], words[subject] = l, text }
	subject, text := "this instance", "serves"
	switch {
	case v.Fleet:
		subject, text = "the fleet", v.Serving.Text
	case v.Serving.Level != view.OK:
		text = "is not ready: " + v.Serving.Text
	}
	set(subject, v.Serving.Level, text)
	for i := range v.Candidates {
		if n := v.Candidates[i].Inventory; n != nil {
			set(v.Candidates[i].Name, n.Level, "its inventory is "+n.State)
		}
	}
	for i := range v.Feeds {
		text := "is fresh"
		if v.Feeds[i].Error != "" {
			text = v.Feeds[i].Error
		}
		set("feed "+v.Feeds[i].Name, v.Feeds[i].Level, text)
	}
	for i := range v.Problems {
		set(v.Problems[i].Text, v.Problems[i].Level, "began")
	}
	same := map[string]bool{} // problems that were there in the last sample, with other numbers
	for was := range r.words {
		same[numbers.ReplaceAllString(was, "0")] = r.words[was] == "began"
	}
	still := map[string]bool{}
	for is := range words {
		still[numbers.ReplaceAllString(is, "0")] = words[is] == "began"
	}
	if !first {
		for _, subject := range slices.Sorted(maps.Keys(words)) {
			text := words[subject]
			if was, known := r.words[subject]; known && was != text && (r.levels[subject] != levels[subject] || subject == "the fleet") {
				r.note(v.At, levels[subject], subject, text)
			} else if !known && text == "began" && !same[numbers.ReplaceAllString(subject, "0")] {
				r.note(v.At, levels[subject], "problem", subject)
			}
		}
		for _, subject := range slices.Sorted(maps.Keys(r.words)) {
			if r.words[subject] == "began" && !still[numbers.ReplaceAllString(subject, "0")] {
				r.note(v.At, view.OK, "over", subject)
			}
		}
		r.config(v)
		for _, text := range holding {
			if !slices.Contains(r.holding, text) {
				r.note(v.At, view.Warning, "override", text)
			}
		}
		for _, text := range r.holding {
			if !slices.Contains(holding, text) {
				r.note(v.At, view.OK, "override", "ended: "+text)
			}
		}
	}
	r.levels, r.words, r.holding, r.used = levels, words, slices.Clone(holding), v.Config
}

func (r *Recorder) config(v *view.View) {
	switch is, was := &v.Config, &r.used; {
	case is.Hash == "" || was.Hash == "": // a fleet of which nobody said it
	case is.Hash != was.Hash:
		r.note(v.At, view.OK, "config", "changed from "+was.Hash+" to "+is.Hash)
	case !is.Loaded.Equal(was.Loaded):
		r.note(v.At, view.OK, "config", "was loaded again without a change")
	case is.Refused != "" && was.Refused == "":
		r.note(v.At, view.Warning, "config", "a newer one was refused: "+is.Refused)
	case is.Refused == "" && was.Refused != "":
		r.note(v.At, view.OK, "config", "nothing is refused any more")
	}
}

// numbers in the text of a problem change while it is the same one: counts, the ports of connections. Each change would
// be two events, and push older ones out.
var numbers = regexp.MustCompile(`\d+`)

// note adds an event.
func (r *Recorder) note(at time.Time, l view.Level, subject, text string) {
	r.events = append(r.events, view.Event{At: at, Level: l, Subject: view.Bounded(subject), Text: view.Bounded(text)})
}

// recent drops old events and returns the others, youngest first.
func (r *Recorder) recent(now time.Time) []view.Event {
	slices.SortStableFunc(r.events, func(a, b view.Event) int { return a.At.Compare(b.At) })
	r.events = slices.DeleteFunc(r.events, func(e view.Event) bool { return now.Sub(e.At) > remember })
	if more := len(r.events) - view.MaxEvents; more > 0 {
		r.events = slices.Delete(r.events, 0, more)
	}
	out := slices.Clone(r.events)
	slices.Reverse(out)
	return out
}
