package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/console/view"
)

// The tables show this many rows; a line says what they leave out.
const flowRows, eventRows = 60, 60

// board is a view in words, for the templates.
type board struct {
	*view.View
	Now        moment
	Headline   headline
	Figures    []figure
	Map        chart
	Candidates []row
	Flows      []flowRow
	MoreFlows  string
	Events     []eventRow
	MoreEvents string
	Loaded     moment
	Feeds      []feedRow
}

func newBoard(v *view.View) board {
	b := board{View: v, Now: newMoment(v.At, v.At), Headline: newHeadline(v), Figures: figures(v), Map: newChart(v), Loaded: newMoment(v.Config.Loaded, v.At)}
	for i := range v.Candidates {
		b.Candidates = append(b.Candidates, newRow(v, &v.Candidates[i]))
	}
	health := healths(v)
	for _, f := range v.Flows[:min(flowRows, len(v.Flows))] {
		b.Flows = append(b.Flows, flowRow{
			From: f.From, To: f.To, Class: health[f.To], Band: band(f.Cents), Bytes: speed(f.Rate.Bytes), Redirects: perSecond(f.Rate.Redirects),
			Cents: cents(f.Cents), Dollars: dollars(f.Rate.Dollars),
		})
	}
	if rest := v.Flows[len(b.Flows):]; len(rest) > 0 {
		var r view.Rate
		for _, f := range rest {
			r.Bytes += f.Rate.Bytes
			r.Dollars += f.Rate.Dollars
		}
		b.MoreFlows = fmt.Sprintf("%s more flows carry %s together, which costs %s an hour.", count(len(rest)), speed(r.Bytes), dollars(r.Dollars))
	}
	for _, e := range v.Events[:min(eventRows, len(v.Events))] {
		b.Events = append(b.Events, eventRow{newMoment(e.At, v.At), e.Level.String(), e.Subject, e.Text})
	}
	if n := len(v.Events) - len(b.Events); n > 0 {
		b.MoreEvents = cli.Count(int64(n), "older transition is", "older transitions are") + " not shown."
	}
	for _, f := range v.Feeds {
		b.Feeds = append(b.Feeds, feedRow{f.Name, f.Level.String(), aged(f.Age), count(f.Prefixes), f.Error})
	}
	return b
}

// Link returns the address of a page of the docs; "" if it is not known where they are.
func (b board) Link(page string) string {
	if b.Docs == "" || page == "" {
		return ""
	}
	return b.Docs + page
}

// headline is what a person reads first.
type headline struct {
	Level string
	// Key changes with what is said, but not with each figure in it. The script uses it so that a screen reader does not
	// read the same again and again.
	Key      string
	Text     string   // a short sentence
	Outages  []outage // a sentence for each candidate that is out
	Problems []problem
}

// outage is a candidate that is out of service, in a sentence: name, since when, where its traffic goes, what that
// costs.
type outage struct {
	Name, State, Level string
	Since              moment
	Before             bool
	Where, Moved, Cost string
	Runbook, Why       string
}

type problem struct {
	Level, Text, Runbook string
	Since                moment
}

// inService says how many candidates are in service, while there is no problem.
func inService(list []view.Candidate) string {
	in := 0
	for i := range list {
		if list[i].State == view.In {
			in++
		}
	}
	switch {
	case len(list) == 0:
		return "The config has no candidates."
	case in < len(list):
		return fmt.Sprintf("%d of %s are in service, and there is no problem.", in, cli.Count(int64(len(list)), "candidate"))
	case in == 1:
		return "The only candidate is in service."
	}
	return fmt.Sprintf("All %d candidates are in service.", in)
}

// outages is how many candidates the headline tells about.
const outages = 5

func newHeadline(v *view.View) headline {
	h := headline{Level: v.Serving.Level.String()}
	worst := v.Serving.Level
	out := 0
	for i := range v.Candidates {
		c := &v.Candidates[i]
		if c.State != view.Out {
			continue
		}
		out++
		worst = max(worst, view.Bad)
		if len(h.Outages) < outages {
			h.Outages = append(h.Outages, newOutage(v, c))
		}
	}
	for _, p := range v.Problems {
		worst = max(worst, p.Level)
		if p.Out != "" && slices.ContainsFunc(h.Outages, func(o outage) bool { return o.Name == p.Out }) {
			continue // said already, with more
		}
		text := p.Text
		if !p.Since.IsZero() { // a sentence follows
			text = strings.TrimSuffix(text, ".") + "."
		}
		h.Problems = append(h.Problems, problem{p.Level.String(), text, p.Runbook, newMoment(p.Since, v.At)})
	}
	h.Level = worst.String()
	serving := strings.TrimSuffix(v.Serving.Text, ".")
	if serving == "" {
		serving = "serving"
	}
	switch {
	case out > 0:
		h.Text = fmt.Sprintf("%s, with %d of %s out of service", sentence(serving), out, cli.Count(int64(len(v.Candidates)), "candidate"))
	case len(h.Problems) > 0:
		h.Text = fmt.Sprintf("%s, with %s", sentence(serving), cli.Count(int64(len(h.Problems)), "problem"))
	default:
		h.Text = sentence(serving) + ". " + inService(v.Candidates)
	}
	key := []string{h.Level, h.Text}
	for _, o := range h.Outages {
		key = append(key, o.Name, o.Where, o.Since.ISO)
	}
	h.Key = strings.Join(key, "|")
	return h
}

func newOutage(v *view.View, c *view.Candidate) outage {
	o := outage{
		Name: c.Name, State: "out of service", Level: view.Bad.String(), Since: newMoment(c.Since, v.At), Before: c.Before,
		Runbook: c.Runbook, Why: short(c.Why),
	}
	if c.Of > 1 {
		o.State = fmt.Sprintf("out of service on %d of %d instances", c.Out, c.Of)
	}
	var bytes, extra, cost float64
	var to []string
	for _, m := range c.Moved {
		to = append(to, m.To)
		bytes += m.Rate.Bytes
		extra += m.Extra
		cost += m.Rate.Dollars
	}
	if len(to) == 0 {
		return o
	}
	const most = 3
	if more := len(to) - most; more > 0 {
		to = append(to[:most:most], cli.Count(int64(more), "other"))
	}
	o.Where = list(to)
	o.Moved = speed(bytes)
	o.Cost = dollars(cost) + " an hour"
	switch {
	case math.Abs(extra) < 0.005*math.Abs(cost), extra == 0:
		o.Cost += ", as before"
	case extra > 0:
		o.Cost += ", " + dollars(extra) + " more than before"
	default:
		o.Cost += ", " + dollars(-extra) + " less than before"
	}
	return o
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// figure is a number that people look for.
type figure struct {
	Label, Value, Note, Level string
	Line                      spark
}

func figures(v *view.View) []figure {
	var all view.Rate
	for i := range v.Candidates {
		all.Bytes += v.Candidates[i].Rate.Bytes
		all.Redirects += v.Candidates[i].Rate.Redirects
	}
	s, m := v.Serving, v.Money
	requests := figure{Label: "Requests", Value: perSecond(s.Requests), Note: perSecond(s.Errors) + " answered with 5xx", Level: "ok"}
	if s.Errors > 0 {
		requests.Level = view.Warning.String()
	}
	instance := figure{Label: "Connections", Value: nothing, Level: "ok"}
	switch {
	case v.Fleet:
		instance = figure{Label: "Instances", Value: fmt.Sprintf("%d of %d", s.Ready, s.Instances), Note: "are ready", Level: s.Level.String()}
	case s.MaxConnections > 0:
		instance.Value, instance.Note = count(s.Connections), "of "+count(s.MaxConnections)+" that may be open"
	}
	saved := figure{Label: "Saved", Value: nothing, Note: "the canonical upstream's prices are not all known", Level: "ok"}
	if m.SavedKnown {
		saved.Value, saved.Note = dollars(m.Saved)+"/h", "against the canonical upstream alone"
	}
	layers := figure{Label: "Layers", Value: speed(all.Bytes), Note: perSecond(all.Redirects) + " redirects", Level: "ok", Line: newSpark(v.Totals)}
	if layers.Line.Line != "" {
		layers.Note += "; the last hour:"
	}
	return []figure{
		layers,
		{Label: "Cost", Value: dollars(m.Hour) + "/h", Note: dollars(m.LastHour) + " in the last hour", Level: "ok"},
		saved, requests, instance,
	}
}

// row is a candidate in the table.
type row struct {
	Name, Kind, Place, State, Class string
	Since                           moment
	Before                          bool
	Why                             string
	Bytes, Redirects, Cents, Money  string
	Line                            spark
	Inventory                       *stock
	Moved                           string
	Runbook                         string
}

// stock is an inventory in words.
type stock struct{ State, Class, Age, Held, Error string }

func newRow(v *view.View, c *view.Candidate) row {
	r := row{
		Name: c.Name, Kind: c.Kind, Place: c.Place, State: string(c.State), Class: health(c), Since: newMoment(c.Since, v.At), Before: c.Before,
		Bytes: speed(c.Rate.Bytes), Redirects: perSecond(c.Rate.Redirects), Cents: cents(c.Cents), Money: dollars(c.Rate.Dollars), Line: newSpark(c.Series),
		Runbook: c.Runbook,
	}
	if c.State == view.Out && c.Of > 1 {
		r.State = fmt.Sprintf("out on %d of %d", c.Out, c.Of)
	}
	if c.State != view.In {
		r.Why = short(c.Why)
	}
	if n := c.Inventory; n != nil {
		r.Inventory = &stock{n.State, n.Level.String(), aged(n.Age), held(n), short(n.Error)}
	}
	var parts []string
	for _, m := range c.Moved {
		parts = append(parts, fmt.Sprintf("%s to %s", speed(m.Rate.Bytes), m.To))
	}
	r.Moved = strings.Join(parts, ", ")
	return r
}

// held says how much a store holds of what all stores together hold.
func held(n *view.Inventory) string {
	if n.All <= 0 || n.Held >= n.All {
		return count(n.Held) + " digests"
	}
	return count(n.Held) + " of " + count(n.All) + " digests"
}

// aged writes an age that says "never" when it is negative.
func aged(d time.Duration) string {
	if d < 0 {
		return "never read"
	}
	return age(d)
}

// health returns the class of a candidate's colour.
func health(c *view.Candidate) string {
	switch c.State {
	case view.In:
		return "good"
	case view.Out:
		if c.Of > 1 && c.Out < c.Of {
			return "partly"
		}
		return "out"
	case view.Drained:
		return "drained"
	case view.Joining, view.Returning:
		return "partly"
	default: // view.NotKnown
		return "lost"
	}
}

// healths returns the classes of all candidates by name.
func healths(v *view.View) map[string]string {
	out := map[string]string{}
	for i := range v.Candidates {
		out[v.Candidates[i].Name] = health(&v.Candidates[i])
	}
	return out
}

type flowRow struct {
	From, To, Class, Bytes, Redirects, Cents, Dollars string
	Band                                              int
}

type eventRow struct {
	At                   moment
	Level, Subject, Text string
}

type feedRow struct{ Name, Level, Age, Prefixes, Error string }

// spark is a small line of a series.
type spark struct{ Line, Area, Text string }

func newSpark(s view.Series) spark {
	const w, h = 120.0, 28.0
	most, last, known := 0.0, math.NaN(), 0
	for _, x := range s.Values {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			most, last = max(most, x), x
			known++
		}
	}
	if known < 2 || most == 0 {
		return spark{}
	}
	step := w / float64(max(1, len(s.Values)-1))
	var line []string
	first, end := -1.0, 0.0
	for i, x := range s.Values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue // the line goes over what is not known
		}
		at := step * float64(i)
		if first < 0 {
			first = at
		}
		end = at
		line = append(line, num(at)+" "+num(h-1-(h-2)*max(0, x)/most))
	}
	path := "M" + strings.Join(line, "L")
	return spark{path, path + "L" + num(end) + " " + num(h) + "L" + num(first) + " " + num(h) + "z", "last hour: at most " + speed(most) + ", now " + speed(last)}
}

// answer is the answer of the box.
type answer struct {
	*view.Explanation
	Question view.Question
	Fault    string
	Shown    []answerRow
}

type answerRow struct {
	view.Row
	Cells []string
}

// rows of an answer that are shown.
const answerRows = 40

func newAnswer(e *view.Explanation, q view.Question, fault string) answer {
	a := answer{Explanation: e, Question: q, Fault: fault}
	if e == nil {
		return a
	}
	rows := e.Rows
	if i := slices.IndexFunc(rows, func(r view.Row) bool { return r.Taken }); i < answerRows {
		rows = rows[:min(answerRows, len(rows))]
	}
	for _, r := range rows {
		a.Shown = append(a.Shown, answerRow{r, []string{tenths(r.RTT, " ms"), cents(r.Cents), tenths(r.Score, "")}})
	}
	return a
}
