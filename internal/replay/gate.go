package replay

import "fmt"

// Limits are what a change may do at most. nil: anything.
type Limits struct {
	Moved *float64 // share of the requests that go elsewhere or are denied, 0 to 1
	Cost  *float64 // relative change of the cost: 0.02 is 2 % more
	RTT   *float64 // change of the mean round trip, in milliseconds
}

// Gate is the verdict about one limit.
type Gate struct {
	Name   string  `json:"name"` // of the flag, such as "max-moved"
	Limit  float64 `json:"limit"`
	Value  float64 `json:"value"`
	Passed bool    `json:"passed"`
	// Why says why a gate did not pass, as a sentence without its full stop.
	Why string `json:"why,omitempty"`
}

// Show writes a value or limit of the gate for people.
func (g *Gate) Show(v float64) string {
	switch g.Name {
	case "max-moved":
		return fmt.Sprintf("%.4g%%", v*100)
	case "max-cost":
		return fmt.Sprintf("%+.4g%%", v*100)
	}
	return fmt.Sprintf("%+.4g ms", v)
}

// Judge adds a gate for each limit to the report, and reports whether all of them passed. A gate that cannot be judged
// did not pass.
func (r *Report) Judge(l Limits) bool {
	passed := true
	add := func(name string, limit *float64, value float64) *Gate {
		if limit == nil {
			return nil
		}
		g := Gate{Name: name, Limit: *limit, Value: value, Passed: value <= *limit+1e-12}
		if !g.Passed {
			g.Why = fmt.Sprintf("%s, the limit is %s", g.Show(value), g.Show(*limit))
		}
		r.Gates = append(r.Gates, g)
		return &r.Gates[len(r.Gates)-1]
	}
	add("max-moved", l.Moved, r.Moved.Share)
	if g := add("max-cost", l.Cost, r.Cost.Change); g != nil {
		switch {
		case !r.Cost.Known:
			g.Passed, g.Why = false, "the log has no size of any blob, so no cost is known"
		case r.Cost.Old == 0 && r.Cost.New > 0:
			g.Passed, g.Why = false, "nothing was paid before, and the new config costs something"
		}
	}
	add("max-rtt", l.RTT, r.RTT.Change)
	for _, g := range r.Gates {
		passed = passed && g.Passed
	}
	return passed
}
