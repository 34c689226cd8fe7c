package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
)

// shownFailures is how many failures are shown to a person. JSON has all of them.
const shownFailures = 100

// writePlan writes a plan for people.
func (a *app) writePlan(sum *promote.Summary, file string) error {
	w := a.stdout
	if len(sum.By) > 0 {
		if err := destinationTable(sum, w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(sum.Stores) > 0 && sum.Planned > 0 {
		t := cli.Table{Header: []string{"STORE", "BLOBS", "SIZE", "REQUESTS"}}
		for _, name := range slices.Sorted(maps.Keys(sum.Stores)) {
			s := sum.Stores[name]
			if s.Fault != "" { // a warning gives the fault
				t.Row(name, "?", "?", "?")
				continue
			}
			t.Row(name, humanize.Comma(s.Blobs), size(s.Bytes), about(s.Requests))
		}
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	writeFailures(sum.Failures, w, cli.UseColor(w, a.env))
	writeHeld(sum.Held, w, cli.UseColor(w, a.env))
	if sum.Unknown > 0 {
		fmt.Fprintf(w, "%s could not be read: their sizes are not in the table.\n", cli.Count(sum.Unknown, "image"))
	}
	writeIdle(sum.Idle, w)
	fmt.Fprintln(w, planVerdict(sum))
	err := heldVerdict(sum.Held, w)
	if file != "" {
		_, err = fmt.Fprintf(w, "The plan is in %s.\n", file)
	}
	return err
}

func destinationTable(sum *promote.Summary, w io.Writer) error {
	t := cli.Table{Header: []string{"DESTINATION", "IMAGES", "TAGS", "MOVED", "MERGED", "SIZE", "REQUESTS"}}
	var all promote.Destination
	var weight promote.Weight
	weighed := false
	for _, name := range sum.Destinations() {
		d := sum.By[name]
		bytes, requests := "", ""
		if d.Weight != nil {
			weighed = true
			bytes, requests = size(d.Weight.Bytes), about(d.Weight.Requests)
			weight.Bytes += d.Weight.Bytes
			weight.Requests += d.Weight.Requests
		}
		t.Row(name, humanize.Comma(d.Images), humanize.Comma(d.Tags), humanize.Comma(d.Moves), humanize.Comma(d.Merges), bytes, requests)
		all.Images += d.Images
		all.Tags += d.Tags
		all.Moves += d.Moves
		all.Merges += d.Merges
	}
	bytes, requests := "", ""
	if weighed {
		bytes, requests = size(weight.Bytes), about(weight.Requests)
	}
	t.Row("all", humanize.Comma(all.Images), humanize.Comma(all.Tags), humanize.Comma(all.Moves), humanize.Comma(all.Merges), bytes, requests)
	_, err := t.WriteTo(w)
	return err
}

func about(n int64) string { return "~" + humanize.Comma(n) }

func writeFailures(failures []*promote.Failure, w io.Writer, color bool) {
	for i, f := range failures {
		if i == shownFailures {
			fmt.Fprintf(w, "and %s more: --output json has all\n", cli.Count(int64(len(failures)-i), "failure"))
			break
		}
		fmt.Fprintf(w, "%s %s\n", cli.Red.In(string(f.Class)+":", color), cli.OneLine(f.String()))
		if f.Place != "" {
			fmt.Fprintf(w, "    asked for in %s\n", f.Place)
		}
	}
	if len(failures) > 0 {
		fmt.Fprintln(w)
	}
}

// writeHeld shows what is held back, and why.
func writeHeld(held []*manifest.Held, w io.Writer, color bool) {
	for i, h := range held {
		if i == shownFailures {
			fmt.Fprintf(w, "and %s more held back: promote check has all\n", humanize.Comma(int64(len(held)-i)))
			break
		}
		fmt.Fprintf(w, "%s %s: %s\n", cli.Red.In("held-back:", color), h.What(), cli.OneLine(h.Why()))
		if hint := h.Faults[0].Hint; hint != "" {
			fmt.Fprintf(w, "    hint: %s\n", hint)
		}
	}
	if len(held) > 0 {
		fmt.Fprintln(w)
	}
}

// writeIdle shows the exceptions that had no effect.
func writeIdle(idle []promote.Idle, w io.Writer) {
	for i, e := range idle {
		if i == shownFailures {
			fmt.Fprintf(w, "and %s more: --output json has all\n", cli.Count(int64(len(idle)-i), "exception"))
			break
		}
		fmt.Fprintf(w, "--%s %s matches nothing: %s.\n", e.Exception, e.What, e.Why)
	}
}

// idleHosts returns the hosts of --plain-http that got no request.
func idleHosts(plainHTTP []string, asked map[string]int64) (out []promote.Idle) {
	for _, host := range plainHTTP {
		if asked[host] == 0 {
			out = append(out, promote.Idle{Exception: "plain-http", What: host, Why: "no request goes there"})
		}
	}
	return out
}

// behind names the stores that do not have all promoted images, and the command that copies those images there.
func behind(r *apply.Report, config string, w io.Writer) {
	var names []string
	for _, s := range r.Stores {
		if s.Behind > 0 {
			names = append(names, fmt.Sprintf("%s does not have %s", s.Name, cli.Count(s.Behind, "promoted image")))
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "Left behind: %s. To copy what they do not have, run: %s\n", strings.Join(names, ", "), mirrorCommand(config))
	}
}

// mirrorCommand returns the command that copies to stores what they do not have.
func mirrorCommand(config string) string { return program + " mirror --once --config " + config }

// heldVerdict says in a sentence what is held back.
func heldVerdict(held []*manifest.Held, w io.Writer) error {
	if len(held) == 0 {
		return nil
	}
	names := make([]string, len(held))
	for i, h := range held {
		names[i] = h.What()
	}
	_, err := fmt.Fprintf(w, "Held back, until promote check finds no error: %s.\n", someOf(names))
	return err
}

// someOf returns a list of the first few names.
func someOf(names []string) string {
	const shown = 5
	text := strings.Join(names[:min(len(names), shown)], ", ")
	if n := len(names) - shown; n > 0 {
		text += fmt.Sprintf(" and %s more", humanize.Comma(int64(n)))
	}
	return text
}

// planVerdict says in a sentence what a plan will do. "Nothing to do" is not the same as "nothing can be done".
func planVerdict(sum *promote.Summary) string {
	lost := ""
	if sum.Lost > 0 {
		lost = fmt.Sprintf(" %s of digests known to be lost are left out.", cli.Count(sum.Lost, "promotion"))
	}
	switch {
	case sum.Edges == 0:
		return "Nothing to do: nothing new is asked for." + lost
	case sum.NothingToDo():
		return fmt.Sprintf("Nothing to do: %s of %s in place.", cli.Count(sum.Done, "promotion"), humanize.Comma(sum.Edges)) + lost
	case sum.Planned == 0:
		return fmt.Sprintf("Nothing can be done: %s missing, and for each of them something is wrong; %s in place.", cli.Count(sum.Failed, "promotion"), humanize.Comma(sum.Done)) + lost
	case sum.Failed == 0:
		return fmt.Sprintf("To do: %s of %s; %s in place.", cli.Count(sum.Planned, "promotion"), cli.Count(sum.Promotions, "digest"), humanize.Comma(sum.Done)) + lost
	}
	return fmt.Sprintf("To do: %s of %s; %s in place; %s cannot be done.", cli.Count(sum.Planned, "promotion"), cli.Count(sum.Promotions, "digest"),
		humanize.Comma(sum.Done), cli.Count(sum.Failed, "promotion")) + lost
}
