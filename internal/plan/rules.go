package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/plan/solve"
)

// Rules are what each set must keep. A selector is the name of a store, a place, a cloud, or all.
type Rules struct {
	Keep    []string // selectors of stores of today that stay
	Forbid  []string // selectors of places and stores that no set has
	Only    []string // clouds in which new stores may be; nil: all
	AtLeast []AtLeast
	Budget  float64 // USD a month at most; 0: any
}

// AtLeast asks for a number of stores.
type AtLeast struct {
	Stores int
	Cloud  string // "": in each cloud of the config's buckets
}

// perCloud is the end of --at-least that means each cloud.
const perCloud = "per cloud"

// ParseAtLeast reads "2 per cloud", "2" or "2 in aws".
func ParseAtLeast(text string) (AtLeast, error) {
	words := strings.Fields(text)
	bad := fmt.Errorf("%q: want a number with `per cloud` or `in CLOUD`", text)
	if len(words) == 0 {
		return AtLeast{}, bad
	}
	n, err := strconv.Atoi(words[0])
	switch rest := strings.Join(words[1:], " "); {
	case err != nil || n < 1 || n > 200:
		return AtLeast{}, bad
	case rest == perCloud:
		return AtLeast{Stores: n}, nil
	case len(words) == 3 && words[1] == "in":
		return AtLeast{n, words[2]}, nil
	}
	return AtLeast{}, bad
}

// Refusal says why there is no plan.
type Refusal struct {
	Reason string
	Hint   string // what to do
}

func (r *Refusal) Error() string { return r.Reason }

// selects reports whether a selector is about a candidate.
func (c *Candidate) selects(selector string) bool {
	return selector == "all" || selector == c.Name || c.store != nil && c.store.CDN == "" && (selector == c.Site.Place.String() || selector == c.Cloud())
}

// apply puts the rules into the problem of a world.
func (r *Rules) apply(w *World) error {
	each := func(flag string, selectors []string, do func(c *Candidate, s *solve.Site) bool) error {
		for _, selector := range selectors {
			found := false
			for i := range w.Candidates {
				if c := &w.Candidates[i]; c.upstream == nil && c.selects(selector) {
					found = do(c, &w.problem.Sites[i]) || found
				}
			}
			if !found {
				return &Refusal{Reason: fmt.Sprintf("--%s %s: no store and no possible region is called so", flag, selector),
					Hint: "name a store of the config, a place such as aws/us-east-1, a cloud, or all"}
			}
		}
		return nil
	}
	err := each("keep", r.Keep, func(c *Candidate, s *solve.Site) bool {
		s.Must = s.Must || c.Exists
		return c.Exists
	})
	if err != nil {
		return err
	}
	err = each("forbid", r.Forbid, func(c *Candidate, s *solve.Site) bool {
		if c.Fixed {
			return false
		}
		s.Never = true
		return true
	})
	if err != nil {
		return err
	}
	for i := range w.problem.Sites {
		if s := &w.problem.Sites[i]; s.Must && s.Never {
			return &Refusal{Reason: fmt.Sprintf("--keep and --forbid are both about %s", w.Candidates[i].Name), Hint: "leave out one of them"}
		}
	}
	for _, at := range r.AtLeast {
		if err := at.apply(w); err != nil {
			return err
		}
	}
	w.problem.Budget = r.Budget
	return nil
}

func (a AtLeast) apply(w *World) error {
	groups := map[string][]int{}
	for i := range w.Candidates {
		if c := &w.Candidates[i]; c.store != nil && c.Cloud() != "" && !w.problem.Sites[i].Never {
			groups[c.Cloud()] = append(groups[c.Cloud()], i)
		}
	}
	clouds := []string{a.Cloud}
	if a.Cloud == "" {
		clouds = nil
		for cloud := range groups {
			clouds = append(clouds, cloud)
		}
		slices.Sort(clouds)
	}
	for _, cloud := range clouds {
		if n := len(groups[cloud]); n < a.Stores {
			return &Refusal{Reason: fmt.Sprintf("--at-least: %s has %d possible stores, not %d", cloud, n, a.Stores),
				Hint: "ask for fewer, or allow more with --only and --forbid"}
		}
		w.problem.Groups = append(w.problem.Groups, solve.Group{Sites: groups[cloud], Min: a.Stores})
	}
	return nil
}
