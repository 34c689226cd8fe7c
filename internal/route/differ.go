package route

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Differ lists the candidates that differ between s and old, by name, and in what: "va: price", "cdn: new". Sorted.
func (s *Snapshot) Differ(old *Snapshot) []string {
	byName := map[string]*Candidate{}
	for i := range old.Candidates {
		byName[old.Candidates[i].Name] = &old.Candidates[i]
	}
	var out []string
	for i := range s.Candidates {
		c := &s.Candidates[i]
		was := byName[c.Name]
		delete(byName, c.Name)
		if was == nil {
			out = append(out, c.Name+": new")
		} else if what := c.differs(was); len(what) > 0 {
			out = append(out, c.Name+": "+strings.Join(what, ", "))
		}
	}
	for name := range byName {
		out = append(out, name+": removed")
	}
	slices.Sort(out)
	return out
}

// differs names what of c an operator set in another way than in was, in the words of the configuration.
func (c *Candidate) differs(was *Candidate) (what []string) {
	note := func(name string, is, was any) {
		if !reflect.DeepEqual(is, was) {
			what = append(what, name)
		}
	}
	note("kind", c.Kind, was.Kind)
	note("url", [3]string{c.URL, c.Check, c.Prefix}, [3]string{was.URL, was.Check, was.Prefix})
	note("place", c.Place, was.Place)
	note("cdn", c.CDN, was.CDN)
	note("price", c.Price, was.Price)
	note("serves", c.Serves.String(), was.Serves.String())
	note("canonical", c.Canonical, was.Canonical)
	note("families", [2]bool{c.IPv4, c.IPv6}, [2]bool{was.IPv4, was.IPv6})
	if c.State != was.State {
		what = append(what, fmt.Sprintf("state %s → %s", was.State, c.State))
	}
	if c.Rollout != was.Rollout {
		what = append(what, fmt.Sprintf("rollout %d → %d", was.Rollout, c.Rollout))
	}
	return what
}
