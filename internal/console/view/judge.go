package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The sections of the runbook that a view links to, relative to docs/.
const (
	RunbookInstance    = "runbook.md#an-instance-is-down"
	RunbookErrors      = "runbook.md#requests-are-answered-with-5xx"
	RunbookStore       = "runbook.md#a-store-is-down"
	RunbookCandidate   = "runbook.md#a-candidate-is-ejected"
	RunbookFrozen      = "runbook.md#health-is-frozen"
	RunbookInventory   = "runbook.md#an-inventory-is-not-believed"
	RunbookFeed        = "runbook.md#a-feed-is-old"
	RunbookConnections = "runbook.md#connections-run-out"
	RunbookRefused     = "runbook-config.md#a-configuration-was-refused"
	RunbookFallback    = "runbook-config.md#the-server-started-on-a-fallback"
	RunbookDiffers     = "runbook-config.md#instances-run-different-configurations"
	RunbookOverride    = "runbook-config.md#an-override-ends-soon"
	RunbookPublication = "runbook-config.md#the-publication-cannot-be-used"
)

// Bounds of what is shown of texts that others wrote, in bytes, and of problems.
const (
	MaxText     = 300
	MaxProblems = 50
)

const (
	// errorShare of the requests answered with 5xx is a problem, if there are at least errorRate such answers a second:
	// one in twenty seconds.
	errorShare, errorRate = 0.01, 0.05
	// crowded is the share of the connections at which they are about to run out.
	crowded = 0.9
)

// Judge adds the problems that the other parts of v show to v.Problems, gives each candidate its section of the
// runbook, and puts candidates, flows and problems in their order. A source calls it once, as the last step.
func (v *View) Judge() {
	v.judgeServing()
	for i := range v.Candidates {
		v.judgeCandidate(&v.Candidates[i])
	}
	for i := range v.Feeds {
		if f := &v.Feeds[i]; f.Level >= Warning {
			v.problem(f.Level, time.Time{}, RunbookFeed, "The feed "+f.Name+" "+feedFault(f))
		}
	}
	v.judgeConfig()
	slices.SortStableFunc(v.Problems, func(a, b Problem) int { return cmp.Compare(b.Level, a.Level) })
	if more := len(v.Problems) - MaxProblems; more > 0 {
		v.Problems = v.Problems[:MaxProblems:MaxProblems]
		v.Gaps = append(v.Gaps, fmt.Sprintf("%d more problems are not shown.", more))
	}
	v.sort()
}

// sort puts candidates that are out first, then those with the most bytes, and limits the flows.
func (v *View) sort() {
	slices.SortStableFunc(v.Candidates, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.State.absence(), a.State.absence()), cmp.Compare(b.Rate.Bytes, a.Rate.Bytes), cmp.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(v.Flows, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(b.Rate.Bytes, a.Rate.Bytes), cmp.Compare(b.Rate.Redirects, a.Rate.Redirects),
			cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	if more := len(v.Flows) - MaxFlows; more > 0 {
		v.Flows = v.Flows[:MaxFlows:MaxFlows]
		v.Gaps = append(v.Gaps, fmt.Sprintf("%d more flows with fewer bytes are not shown.", more))
	}
}

// absence orders states: those of which clients get nothing come first.
func (s State) absence() int {
	switch s {
	case Out:
		return 3
	case NotKnown, Joining:
		return 2
	case Drained, Returning:
		return 1
	default:
		return 0
	}
}

// Away reports whether clients are sent elsewhere.
func (s State) Away() bool { return s == Out || s == Joining || s == Drained }

func (v *View) problem(l Level, since time.Time, runbook, text string) {
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	v.Problems = append(v.Problems, Problem{Level: l, Text: text, Since: since, Runbook: runbook})
}

func (v *View) judgeServing() {
	s := &v.Serving
	if s.Level >= Warning {
		subject := "This instance: "
		if v.Fleet {
			subject = "The fleet: "
		}
		v.problem(s.Level, time.Time{}, RunbookInstance, subject+s.Text)
	}
	if s.Errors >= errorRate && s.Errors >= errorShare*s.Requests {
		v.problem(Bad, time.Time{}, RunbookErrors, fmt.Sprintf("%.1f %% of the requests are answered with 5xx", 100*s.Errors/max(s.Requests, s.Errors)))
	}
	if s.MaxConnections > 0 && float64(s.Connections) >= crowded*float64(s.MaxConnections) {
		v.problem(Warning, time.Time{}, RunbookConnections, fmt.Sprintf("%d of %d connections are open", s.Connections, s.MaxConnections))
	}
}

func (v *View) judgeCandidate(c *Candidate) {
	c.Why = Bounded(c.Why)
	c.Runbook = RunbookCandidate
	if c.Kind == "store" {
		c.Runbook = RunbookStore
	}
	why := ""
	if c.Why != "" {
		why = ": " + c.Why
	}
	switch {
	case c.State == Out && c.Of > 1 && c.Out < c.Of:
		v.problem(Warning, c.Since, c.Runbook, fmt.Sprintf("%s is out of service on %d of %d instances%s", c.Name, c.Out, c.Of, why))
		v.Problems[len(v.Problems)-1].Out = c.Name
	case c.State == Out:
		v.problem(Bad, c.Since, c.Runbook, c.Name+" is out of service"+why)
		v.Problems[len(v.Problems)-1].Out = c.Name
	case c.State == NotKnown:
		v.problem(Unknown, c.Since, c.Runbook, "Nobody says whether "+c.Name+" is in service"+why)
	case c.State == Joining:
		v.problem(Warning, c.Since, c.Runbook, c.Name+" was added and is not yet seen to work"+why)
	}
	if n := c.Inventory; n != nil {
		n.Error = Bounded(n.Error)
		if n.Level >= Warning {
			text := "The inventory of " + c.Name + " is " + n.State
			if n.Error != "" {
				text += ": " + n.Error
			}
			v.problem(n.Level, time.Time{}, RunbookInventory, text)
		}
	}
}

func feedFault(f *Feed) string {
	f.Error = Bounded(f.Error)
	switch {
	case f.Age < 0 && f.Error == "":
		return "was never read"
	case f.Age < 0:
		return "was never read: " + f.Error
	case f.Error != "":
		return "is not refreshed: " + f.Error
	}
	return "is old"
}

func (v *View) judgeConfig() {
	c := &v.Config
	c.Refused = Bounded(c.Refused)
	if c.Refused != "" {
		v.problem(max(c.Level, Warning), time.Time{}, RunbookRefused, "A newer config is refused: "+c.Refused)
	}
	if c.Hashes > 1 {
		v.problem(Warning, time.Time{}, RunbookDiffers, fmt.Sprintf("The instances run %d different configs", c.Hashes))
	}
}

// Bounded returns a text of others in one line, without control characters and at most about [MaxText] bytes long.
func Bounded(s string) string {
	cut := ""
	if len(s) > MaxText {
		s, cut = s[:MaxText], "…"
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029':
			return ' '
		case r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // C1; overrides of the direction of text
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.TrimSpace(s) + cut
}
