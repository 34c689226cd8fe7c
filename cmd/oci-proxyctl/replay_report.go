package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/cli"
	"ociproxy/internal/replay"
)

// replayed is the JSON document of replay. New versions only add fields.
type replayed struct {
	Old   string    `json:"old"` // files
	New   string    `json:"new"`
	At    time.Time `json:"at"` // at which the configs were compared
	Lines logLines  `json:"lines"`
	// Incomplete says why the end of the logs was not read. Then no limit is judged.
	Incomplete string `json:"incomplete,omitempty"`
	// Warnings say what makes the result less certain.
	Warnings []string `json:"warnings"`
	*replay.Report
	// Explain has a command for each kind of move.
	Explain []explained `json:"explain"`
}

// logLines counts the lines of the logs.
type logLines struct {
	Read      int64                      `json:"read"`
	Other     int64                      `json:"other"` // no requests
	Malformed int64                      `json:"malformed"`
	Faults    []accesslog.Fault          `json:"faults"` // the first malformed lines
	Formats   map[accesslog.Format]int64 `json:"formats"`
}

// explained is a command that explains a kind of move.
type explained struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Command string `json:"command"`
}

func newReplayed(how *replaying, at time.Time, s *accesslog.Stats, r *replay.Report, ended error) *replayed {
	doc := &replayed{
		Old: how.old, New: how.next, At: at.UTC(), Report: r, Explain: []explained{},
		Lines: logLines{Read: s.Lines, Other: s.Other, Malformed: s.Malformed, Faults: s.Faults, Formats: s.Formats},
	}
	switch {
	case errors.Is(ended, context.Canceled):
		doc.Incomplete = "interrupted"
	case ended != nil:
		doc.Incomplete = cli.OneLine(ended.Error())
	}
	if doc.Lines.Faults == nil {
		doc.Lines.Faults = []accesslog.Fault{}
	}
	seen, feeds := map[[2]string]bool{}, how.feedFlags()
	for _, m := range r.Moves {
		kind := [2]string{m.From, m.To}
		if seen[kind] || !m.Example.Address.IsValid() {
			continue
		}
		seen[kind] = true
		command := slices.Concat([]string{"oci-proxy", "explain", "--config", quoted(how.next)}, feeds,
			[]string{"--ip", m.Example.Address.String()})
		if m.Example.Host != "" {
			command = append(command, "--host", m.Example.Host)
		}
		// Without a path explain assumes what replay assumes: a blob that every candidate holds.
		if !strings.Contains(m.Example.Path, "/blobs/") || m.From == replay.DeniedName || m.To == replay.DeniedName {
			command = append(command, m.Example.Path)
		}
		doc.Explain = append(doc.Explain, explained{m.From, m.To, strings.Join(command, " ")})
	}
	return doc
}

// feedFlags lets explain locate clients by the same files as this run.
func (how *replaying) feedFlags() (flags []string) {
	if how.seed == "" {
		return nil
	}
	for _, name := range how.feeds {
		for _, ending := range []string{"", ".json", ".csv"} { // as ranges.seed looks for them
			file := filepath.Join(how.seed, name+ending)
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				flags = append(flags, "--feed", quoted(name+"="+file))
				break
			}
		}
	}
	return flags
}

// quoted returns text as one word of a shell.
func quoted(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=@%,", r))
	}) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}

// disagreement is the share of the log's decisions above which they are worth a warning.
const disagreement = 0.1

// judge judges the limits. When many lines could not be read, the rest says little, and no limit is kept.
func (d *replayed) judge(l replay.Limits) (passed bool) {
	passed = d.Judge(l)
	if float64(d.Lines.Malformed) <= disagreement*float64(d.Lines.Read) {
		return passed
	}
	for i := range d.Gates {
		d.Gates[i].Passed, d.Gates[i].Why = false, "more than a tenth of the lines could not be read"
	}
	return len(d.Gates) == 0
}

// warn warns of what makes the result less certain.
func (d *replayed) warn(how *replaying, a *app) {
	if d.Lines.Malformed > 0 {
		for _, f := range d.Lines.Faults {
			how.warn(a, "%s", cli.OneLine(f.String()))
		}
		how.warn(a, "%s of %s left out: not readable", humanize.Comma(d.Lines.Malformed), cli.Count(d.Lines.Read, "line"))
	}
	if d.Hours.Gaps() && how.month == 0 {
		how.warn(a, "only %s of %s from the first request to the last have a request: with gaps, or a wrong clock, "+
			"the costs of a month are too low; --month-requests says how many requests a month has",
			humanize.Comma(d.Hours.Busy), cli.Count(d.Hours.All, "hour"))
	}
	if len(d.Lines.Formats) > 1 {
		var all []string
		for _, f := range slices.Sorted(maps.Keys(d.Lines.Formats)) {
			all = append(all, string(f))
		}
		how.warn(a, "the logs have several formats (%s): a request that is in two of them counts twice", strings.Join(all, ", "))
	}
	if all := d.Log.Same + d.Log.Differ; d.Log.Differ > int64(disagreement*float64(all)) {
		how.warn(a, "%s of the decisions in the log are not those of %s%s: was it another config, or was a candidate out of service?",
			percent(float64(d.Log.Differ)/float64(all)), d.Old, d.reasons())
	}
	if d.Requests > 0 && d.Unsized > 0 {
		how.warn(a, "the log has no size for %s of blobs: their bytes and costs do not count; --blob-size gives them a size", cli.Count(d.Unsized, "request"))
	}
	d.Warnings = append([]string{}, how.warnings...)
}

// reasons lists the log's reasons for other decisions: " (absent 3, retried 1)".
func (d *replayed) reasons() string {
	var all []string
	for _, why := range slices.SortedFunc(maps.Keys(d.Log.Reasons), func(a, b string) int {
		return int(d.Log.Reasons[b] - d.Log.Reasons[a])
	}) {
		all = append(all, fmt.Sprintf("%s %s", why, humanize.Comma(d.Log.Reasons[why])))
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all[:min(3, len(all))], ", ") + ")"
}

// maxTraffic is how many moves people see.
const maxTraffic, maxExplain = 15, 5

func (d *replayed) writeText(w io.Writer) error {
	out := new(bytes.Buffer)
	fmt.Fprintf(out, "%s\n", d.headline())
	for _, c := range d.changes() {
		fmt.Fprintf(out, "  %s\n", c)
	}
	fmt.Fprintln(out)
	t := cli.Table{}
	for _, row := range d.summary() {
		t.Row(row...)
	}
	_, _ = t.WriteTo(out) // to memory: no error
	if len(d.Moves) > 0 {
		fmt.Fprintln(out)
		t = cli.Table{Header: d.trafficHeader()}
		for _, m := range d.Moves[:min(maxTraffic, len(d.Moves))] {
			t.Row(d.trafficRow(&m)...)
		}
		_, _ = t.WriteTo(out)
		if more := len(d.Moves) - maxTraffic; more > 0 {
			fmt.Fprintf(out, "and %d more: --output json lists all\n", more)
		}
	}
	if len(d.Explain) > 0 {
		fmt.Fprintln(out, "\nOne request of each kind:")
		for _, e := range d.Explain[:min(maxExplain, len(d.Explain))] {
			fmt.Fprintf(out, "  %s\n", e.Command)
		}
	}
	if len(d.Gates) > 0 {
		fmt.Fprintln(out)
		for _, g := range d.Gates {
			fmt.Fprintln(out, d.gate(&g))
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// maxChanges is how many changed stores and upstreams people see.
const maxChanges = 10

// changes lists the stores and upstreams that differ.
func (d *replayed) changes() []string {
	out := slices.Clone(d.Changes[:min(maxChanges, len(d.Changes))])
	if more := len(d.Changes) - maxChanges; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func (d *replayed) gate(g *replay.Gate) string {
	if g.Passed {
		return fmt.Sprintf("--%s: passed: %s, the limit is %s", g.Name, g.Show(g.Value), g.Show(g.Limit))
	}
	return "--" + g.Name + ": failed: " + g.Why
}

// headline says what was compared, and on what.
func (d *replayed) headline() string {
	text := fmt.Sprintf("%s → %s on %s", d.Old, d.New, cli.Count(d.Requests, "request"))
	if d.Bytes > 0 {
		text += ", " + size(d.Bytes)
	}
	if !d.From.IsZero() {
		text += fmt.Sprintf(", from %s to %s UTC", d.From.UTC().Format(time.DateTime), d.To.UTC().Format(time.DateTime))
	}
	if d.Incomplete != "" {
		text += ", incomplete: " + d.Incomplete
	}
	return text
}

// summary has the results, one to a row.
func (d *replayed) summary() [][]string {
	rows := [][]string{{"moved", fmt.Sprintf("%s of the requests (%s), %s", percent(d.Moved.Share), humanize.Comma(d.Moved.Requests), size(d.Moved.Bytes))}}
	if d.Denied > 0 {
		rows = append(rows, []string{"denied", cli.Count(d.Denied, "request") + " that the old config answers"})
	}
	rows = append(rows, []string{"cost", d.cost()},
		[]string{"round trip", fmt.Sprintf("%.1f ms → %.1f ms (%+.2f ms), mean", d.RTT.Old, d.RTT.New, zero(d.RTT.Change))},
		[]string{"choice lost", choiceText(d.Lost, "have only one candidate left")},
		[]string{"choice gained", choiceText(d.Gained, "have a second candidate")})
	s := &d.Skipped
	return append(rows, []string{"left out", fmt.Sprintf("%s of other kinds, %s by HEAD, %s refused, %s of probes",
		humanize.Comma(int64(s.Others)), humanize.Comma(int64(s.Heads)), humanize.Comma(int64(s.Refused)), humanize.Comma(int64(s.Probes)))})
}

func (d *replayed) cost() string {
	switch {
	case !d.Cost.Known:
		return "not known: the log has no sizes of blobs; see --blob-size"
	case d.Cost.Month == nil:
		return fmt.Sprintf("%s → %s for these requests (%s); the log is too short to tell of a month: see --month-requests",
			usd(d.Cost.Old), usd(d.Cost.New), d.growth())
	}
	return fmt.Sprintf("%s → %s a month (%s)", usd(d.Cost.Month.Old), usd(d.Cost.Month.New), d.growth())
}

// growth is the relative change of the cost.
func (d *replayed) growth() string {
	if d.Cost.Old == 0 && d.Cost.New > 0 {
		return "nothing was paid before"
	}
	return signed(d.Cost.Change)
}

func choiceText(all []replay.Choice, what string) string {
	if len(all) == 0 {
		return "none"
	}
	n := int64(0)
	var places []string
	for _, c := range all {
		n += c.Requests
		places = append(places, c.Place)
	}
	at := strings.Join(places[:min(maxPlaces, len(places))], ", ")
	if more := len(places) - maxPlaces; more > 0 {
		at += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s %s: %s", cli.Count(n, "request"), what, at)
}

func (d *replayed) trafficHeader() []string {
	money := "$"
	if d.Cost.Month != nil {
		money = "$/MONTH"
	}
	return []string{"PLACE", "FROM → TO", "REQUESTS", "BYTES", "RTT ms", money}
}

func (d *replayed) trafficRow(m *replay.Traffic) []string {
	cost := m.USD
	if d.Cost.Month != nil {
		cost *= d.Cost.Month.Factor
	}
	return []string{
		m.Place, m.From + " → " + m.To, humanize.Comma(m.Requests), size(m.Bytes),
		fmt.Sprintf("%+.1f", zero(m.RTT)), fmt.Sprintf("%+.2f", zero(cost)),
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", share*100) }

func signed(change float64) string { return fmt.Sprintf("%+.1f%%", zero(change*100)) }

func usd(v float64) string { return "$" + humanize.FormatFloat("#,###.##", v) }

// zero is v, without the sign of a negative number that is shown as 0.
func zero(v float64) float64 {
	if math.Abs(v) < 0.005 {
		return 0
	}
	return v
}
