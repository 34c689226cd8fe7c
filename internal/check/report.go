package check

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
)

// Result is what a finding means for the operator.
type Result = judge.Result

// These are the results, by rising severity.
const (
	OK      = judge.OK
	Info    = judge.Info
	Warning = judge.Warning
	Failed  = judge.Failed
)

// These are the kinds of targets.
const kindStore, kindUpstream = "store", "upstream"

// Finding is the result of one check of one store or upstream. Names of checks are stable.
type Finding struct {
	Target string `json:"target"`         // name in the config
	Kind   string `json:"kind"`           // "store" or "upstream"
	Check  string `json:"check"`          // "ipv6", "range.open", …
	Result Result `json:"result"`         //
	Detail string `json:"detail"`         // what the check saw
	Hint   string `json:"hint,omitempty"` // what to do about it

	excused   bool // it would be an error if the target were not being filled
	noAddress bool // the host has no address of the IP family that Check names
}

// Report is the outcome of Live: all findings, grouped by target in the order of the config.
type Report struct {
	Findings []Finding `json:"findings"`
	// Inventories has the inventories of the stores that have one in the config and could be asked, in the order of the
	// config.
	Inventories []Inventory `json:"inventories,omitempty"`
	Errors      int         `json:"errors"`
	Warnings    int         `json:"warnings"`
	// Images has the images whose blobs were requested. Empty means that the read checks were not made.
	Images []string `json:"images"`
	Notes  []string `json:"notes,omitempty"` // about the run itself
}

func (r *Report) add(fs ...Finding) {
	for _, f := range fs {
		switch f.Result {
		case Failed:
			r.Errors++
		case Warning:
			r.Warnings++
		case OK, Info:
		}
		r.Findings = append(r.Findings, f)
	}
}

// Ready reports whether a store that is being filled could take traffic: it holds blobs of the images that were asked
// for, and nothing was found that would harm a client. An inventory is not enough: it does not show that clients may
// read the blobs.
func (r *Report) Ready(store string) bool {
	holds := false
	for _, f := range r.Findings {
		if f.Kind != kindStore || f.Target != store {
			continue
		}
		if f.Result == Failed || f.excused {
			return false
		}
		holds = holds || f.Result == OK && (f.Check == "get" || f.Check == "head")
	}
	return holds
}

// NoAddress returns the IP families of which the host of a store has no address, as the config names them.
func (r *Report) NoAddress(store string) (families []string) {
	for _, f := range r.Findings {
		if f.Kind == kindStore && f.Target == store && f.noAddress {
			families = append(families, f.Check)
		}
	}
	return families
}

// Failure returns the first finding that would harm the clients of an upstream; false means that there is none.
func (r *Report) Failure(upstream string) (Finding, bool) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool {
		return f.Kind == kindUpstream && f.Target == upstream && (f.Result == Failed || f.excused)
	})
	if i < 0 {
		return Finding{}, false
	}
	return r.Findings[i], true
}

// Passed reports whether nothing was found that would harm a client.
func (r *Report) Passed() bool { return r.Errors == 0 }

// WriteText writes the report as a table. Each target has one line for all checks that passed, and one line for each
// other finding. Each hint follows once, with the targets that it is for.
func (r *Report) WriteText(w io.Writer, color bool) error {
	table := cli.Table{
		Header: []string{"TARGET", "CHECK", "RESULT", "DETAIL"},
		Color:  color, Painted: 2, Paint: judge.Paint,
	}
	for _, group := range r.groups() {
		var fine []string
		for _, f := range group {
			if f.Result == OK && !slices.Contains(fine, f.Check) {
				fine = append(fine, f.Check)
			}
		}
		name := group[0].Target
		if len(fine) > 0 {
			table.List(name, english.Plural(len(fine), "check", ""), string(OK), strings.Join(fine, " "))
			name = ""
		}
		for i, f := range group {
			// Two blobs with the same finding get one line.
			if f.Result != OK && !slices.Contains(group[:i], f) {
				table.Row(name, f.Check, string(f.Result), f.Detail)
				name = ""
			}
		}
	}
	if _, err := table.WriteTo(w); err != nil {
		return err
	}
	for _, h := range r.hints() {
		if _, err := fmt.Fprintf(w, "hint: %s\n", cli.OneLine(h)); err != nil {
			return err
		}
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", cli.OneLine(n)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s, %s\n", english.Plural(r.Errors, "error", ""), english.Plural(r.Warnings, "warning", ""))
	return err
}

// groups splits the findings into groups of one target each.
func (r *Report) groups() [][]Finding {
	var out [][]Finding
	for i, f := range r.Findings {
		if i == 0 || f.Target != r.Findings[i-1].Target || f.Kind != r.Findings[i-1].Kind {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], f)
	}
	return out
}

// hints lists each hint once, after the "target check" of the findings that it is for (at most three are named).
func (r *Report) hints() []string {
	type entry struct {
		hint string
		who  []string
	}
	var list []entry
	for _, f := range r.Findings {
		if f.Hint == "" {
			continue
		}
		who := f.Target + " " + f.Check
		i := slices.IndexFunc(list, func(e entry) bool { return e.hint == f.Hint })
		if i < 0 {
			list = append(list, entry{hint: f.Hint})
			i = len(list) - 1
		}
		if !slices.Contains(list[i].who, who) {
			list[i].who = append(list[i].who, who)
		}
	}
	out := make([]string, len(list))
	for i, e := range list {
		who := e.who
		more := ""
		if len(who) > 3 {
			more = fmt.Sprintf(" and %d more", len(who)-3)
			who = who[:3]
		}
		out[i] = strings.Join(who, ", ") + more + ": " + e.hint
	}
	return out
}
