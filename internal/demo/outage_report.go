package demo

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/cli"
)

// outageReport is the last line of `demo --fail STORE --output json`. Times are in seconds.
type outageReport struct {
	Event string `json:"event"` // "summary"
	Store string `json:"store"`
	OK    bool   `json:"ok"`
	Pulls int    `json:"pulls"`
	// FailedPulls counts the pulls that failed although each piece was tried up to three times.
	FailedPulls int `json:"failedPulls"`
	// FailedFirstTries counts the pieces that a client had to request again.
	FailedFirstTries int `json:"failedFirstTries"`
	// LastRedirect is the time from the store's failure to the last redirect of a client to it; absent: none.
	LastRedirect *float64 `json:"lastRedirect,omitempty"`
	Ejected      *float64 `json:"ejected,omitempty"`    // from the store's failure
	Readmitted   *float64 `json:"readmitted,omitempty"` // from its recovery
	Returned     *float64 `json:"returned,omitempty"`   // from its recovery until all pulls are normal
	Problems     []string `json:"problems,omitempty"`
}

// summary completes the report.
func (o *outage) summary() *outageReport {
	r := &o.report
	if r.FailedPulls > 0 {
		o.problem("%d of %d pulls failed", r.FailedPulls, r.Pulls)
	}
	r.Event, r.OK = "summary", len(r.Problems) == 0
	return r
}

// outageEvent is a line about a store or its health: of `demo --fail STORE`, and of a demo that serves when a person
// stops or starts a store.
type outageEvent struct {
	At    float64 `json:"at"`    // seconds since the start
	Event string  `json:"event"` // "failed", "ejected", "restored", "readmitted"
	Store string  `json:"store"`
}

// say reports an event of the store.
func (o *outage) say(about, event, text string) {
	o.out.event(outageEvent{since(time.Since(o.start)), event, o.store.name}, about, text)
}

// event writes a line about a store or its health.
func (p *printer) event(e outageEvent, about, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Ignore errors: if the reader is gone, the demo continues.
	if p.json {
		_ = cli.WriteJSONLine(p.w, e)
		return
	}
	color := cli.Green
	if e.Event == "failed" || e.Event == "ejected" {
		color = cli.Red
	}
	_, _ = fmt.Fprintf(p.w, "%5.1f s  %-6s  %s\n", e.At, about, color.In(text, p.color))
}

// outageBegins announces the outage.
func (p *printer) outageBegins(o *outage) error {
	if p.json {
		return nil
	}
	var names []string
	for _, c := range o.clients {
		names = append(names, c.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.w, `oci-proxy-demo: %s is about to fail, and to come back.
Meanwhile pulls, each from another network: %s. What follows is the time,
the client and how many of the image's blobs came from where.

`, o.store.name, strings.Join(names, ", "))
	return err
}

// outagePull writes a line for a pull.
func (p *printer) outagePull(pull outagePull) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		_ = cli.WriteJSONLine(p.w, pull)
		return
	}
	var from []string
	for _, name := range slices.Sorted(maps.Keys(pull.From)) {
		from = append(from, fmt.Sprintf("%d %s", pull.From[name], name))
	}
	text := strings.Join(from, ", ")
	switch {
	case !pull.OK:
		text += cli.Red.In("  FAILED: "+cli.OneLine(pull.Error), p.color)
	case pull.FailedFirstTries > 0:
		text += cli.Yellow.In(fmt.Sprintf("  (%d asked for again)", pull.FailedFirstTries), p.color)
	}
	_, _ = fmt.Fprintf(p.w, "%5.1f s  pull    %-15s  %s\n", pull.At, pull.Client, text)
}

// outageReport writes the summary. Its error is the error of the run.
func (p *printer) outageReport(r *outageReport) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.json {
		err = cli.WriteJSONLine(p.w, r)
	} else {
		err = r.writeText(p.w)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if !r.OK {
		return fmt.Errorf("outage of %s: %s", r.Store, strings.Join(r.Problems, "; "))
	}
	return nil
}

func (r *outageReport) writeText(w io.Writer) error {
	t := cli.Table{}
	t.Row("pulls", fmt.Sprintf("%d, %d failed", r.Pulls, r.FailedPulls))
	t.Row("pieces asked for again", fmt.Sprint(r.FailedFirstTries))
	for _, row := range []struct {
		name  string
		after *float64
		since string
	}{
		{"last redirect to the dead store", r.LastRedirect, "after it failed"},
		{"ejected", r.Ejected, "after it failed"},
		{"re-admitted", r.Readmitted, "after it worked again"},
		{"pulls as before", r.Returned, "after it worked again"},
	} {
		text := "never"
		if row.after != nil {
			text = fmt.Sprintf("%.1f s %s", *row.after, row.since)
		}
		t.Row(row.name, text)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	_, err := t.WriteTo(w)
	return err
}

// readUsable finds in the metrics text whether a candidate is in service.
func readUsable(metrics io.Reader, name string) (usable, ok bool) {
	prefix := fmt.Sprintf("ociproxy_candidate_usable{candidate=%q} ", name)
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), prefix); found {
			usable, ok = value == "1", true
		}
	}
	return usable, ok && lines.Err() == nil
}
