package scraped

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/console/routing"
	"ociproxy/internal/console/view"
)

// The ages from which something is a problem: the alerts' (deploy/prometheus/alerts.yaml).
const feedFailing, feedOld = 12 * time.Hour, 14 * 24 * time.Hour

// hashDigits of a config's hash are shown.
const hashDigits = 12

func (a answers) serving() view.Serving {
	out := view.Serving{Ready: whole(a.one(ready)), Instances: whole(a.one(instances)), Connections: whole(a.one(opened)),
		MaxConnections: whole(a.one(mostOpen)), Started: moment(a.one(started))}
	var versions []string
	for version := range a.by(builds, "version") {
		versions = append(versions, view.Bounded(version))
	}
	slices.Sort(versions)
	out.Version = strings.Join(versions[:min(len(versions), 3)], ", ")
	out.Text = fmt.Sprintf("%d of %d instances are ready", out.Ready, out.Instances)
	if dead := out.Instances - whole(a.one(up)); dead > 0 {
		out.Text += fmt.Sprintf(", and %d cannot be scraped", dead)
	}
	switch {
	case out.Instances == 0:
		out.Level, out.Text = view.Unknown, "nobody says which instances there are"
	case out.Ready == 0:
		out.Level = view.Bad
	case out.Ready < out.Instances:
		out.Level = view.Warning
	}
	return out
}

// candidates returns those of the config, and those that only the fleet knows.
func (a answers) candidates(facts *routing.Facts) []view.Candidate {
	in, of, back := a.by(usable, "candidate"), a.by(reported, "candidate"), a.by(returning, "candidate")
	out := facts.Candidates()
	listed := map[string]bool{}
	for i := range out {
		listed[out[i].Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if !listed[name] && len(out) < maxCandidates {
			out = append(out, view.Candidate{Name: view.Bounded(name), Kind: "unknown", Why: "it is not in the config that was read here"})
		}
	}
	for i := range out {
		c := &out[i]
		if n, said := of[c.Name]; said {
			c.Of = whole(n)
			c.Out = c.Of - min(c.Of, whole(in[c.Name]))
			switch percent, returns := back[c.Name]; {
			case c.Out > 0:
				c.State = view.Out
			case returns:
				c.State, c.Why = view.Returning, fmt.Sprintf("it gets %.0f %% of the client networks", percent)
			default:
				c.State = view.In
			}
		} else if c.State == view.NotKnown {
			c.Of = 0
		}
	}
	a.inventories(out)
	return out
}

func (a answers) inventories(to []view.Candidate) {
	age, held, all := a.by(listAge, "candidate"), a.by(listHeld, "candidate"), a.one(listAll)
	states := map[string][]string{}
	for _, one := range a[listState] {
		states[one.Labels["candidate"]] = append(states[one.Labels["candidate"]], one.Labels["state"])
	}
	for i := range to {
		name := to[i].Name
		if len(states[name]) == 0 {
			continue
		}
		worst := slices.MinFunc(states[name], func(a, b string) int { return cmp.Compare(order(a), order(b)) })
		n := &view.Inventory{State: view.Bounded(worst), Age: -1, Held: whole(held[name]), All: whole(all)}
		if old, said := age[name]; said {
			n.Age = seconds(old)
		}
		if worst != "current" {
			n.Level = view.Warning
		}
		to[i].Inventory = n
	}
}

// order puts the worst state of an inventory first.
func order(state string) int {
	return slices.Index([]string{"gone", "doubted", "stale", "loading", "current"}, state)
}

// seconds returns an age; negative: never.
func seconds(s float64) time.Duration {
	const most = 100 * 365 * 24 * 3600
	if s >= 0 && s < most {
		return time.Duration(s * float64(time.Second))
	}
	return -1
}

func (a answers) feeds() (out []view.Feed) {
	rows, fails := a.by(feedRows, "feed"), a.by(feedFails, "feed")
	ages := a.by(feedAge, "feed")
	for _, name := range slices.Sorted(maps.Keys(ages)) {
		f := view.Feed{Name: view.Bounded(name), Age: seconds(ages[name]), Prefixes: whole(rows[name])}
		if n := fails[name]; n > 0 {
			f.Error = fmt.Sprintf("%.0f instances could not refresh it the last time", n)
		}
		switch {
		case f.Age < 0:
			f.Level = view.Unknown
		case f.Age > feedOld, f.Error != "" && f.Age > feedFailing:
			f.Level = view.Warning
		}
		out = append(out, f)
	}
	return out
}

func (a answers) config(from string) view.Config {
	hashes, generations := map[string]float64{}, []string{}
	for _, one := range a[configs] {
		hashes[one.Labels["hash"]] += one.Value
		if ring := one.Labels["ring"]; ring != "" {
			generations = append(generations, view.Bounded("generation "+one.Labels["generation"]+" of the ring "+ring))
		}
	}
	out := view.Config{Hashes: len(hashes), From: "what Prometheus at " + from + " knows"}
	slices.Sort(generations)
	if n := len(generations); n > 0 {
		out.From = strings.Join(generations[:min(n, 4)], ", ")
	}
	most := -1.0
	for _, hash := range slices.Sorted(maps.Keys(hashes)) {
		if hashes[hash] > most {
			most, out.Hash = hashes[hash], view.Bounded(hash[:min(hashDigits, len(hash))])
		}
	}
	out.Loaded = moment(a.one(loaded))
	if n := a.one(refused); n > 0 {
		out.Level, out.Refused = view.Warning, fmt.Sprintf("by %.0f instances; their logs say why", n)
	}
	return out
}

func (a answers) problems() (out []view.Problem) {
	if n := a.one(frozen); n > 0 {
		out = append(out, view.Problem{Level: view.Bad, Runbook: view.RunbookFrozen,
			Text: fmt.Sprintf("On %.0f instances more than half of the candidates fail together, so none is ejected.", n)})
	}
	if n := a.one(fallback); n > 0 {
		out = append(out, view.Problem{Level: view.Warning, Runbook: view.RunbookFallback, Text: fmt.Sprintf("%.0f instances started on a fallback.", n)})
	}
	return out
}
