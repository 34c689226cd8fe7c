package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/mirror"
	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

// writeMirrorReport shows what a pass did.
func writeMirrorReport(w io.Writer, r *mirror.Report) error {
	facts := cli.Table{}
	facts.Row("result", string(r.Result)+" after "+(time.Duration(r.DurationMs)*time.Millisecond).Round(10*time.Millisecond).String())
	if r.Shard != "" {
		facts.Row("shard", fmt.Sprintf("%s; %s left to the others", r.Shard, cli.Count(r.Blobs.Others, "reference")))
	}
	facts.Row("source", fmt.Sprintf("%s: %s, %s, %s read", r.Source.Registry, english.Plural(int(r.Source.Repositories), "repository", "repositories"),
		cli.Count(r.Source.Requests, "request"), size(r.Source.BytesRead)))
	facts.Row("images", fmt.Sprintf("%s seen, %s complete, %s known before", humanize.Comma(r.Images.Seen), humanize.Comma(r.Images.Complete), humanize.Comma(r.Images.Known)))
	facts.Row("blobs copied", humanize.Comma(r.Blobs.Copied))
	for _, f := range []struct {
		name  string
		count int64
	}{
		{"blobs found there", r.Blobs.Present}, {"blobs failed", r.Blobs.Failed}, {"blobs skipped", r.Blobs.Skipped},
		{"images failed", r.Images.Failed}, {"images with denied parts", r.Images.Denied}, {"times throttled", r.Source.Throttled},
	} {
		if f.count > 0 {
			facts.Row(f.name, humanize.Comma(f.count))
		}
	}
	if _, err := facts.WriteTo(w); err != nil {
		return err
	}
	stores := cli.Table{Header: []string{"STORE", "COPIED", "BYTES", "REQUESTS", "INCOMPLETE", "LAG", "FAULT"}}
	for _, s := range r.Stores {
		lag := ""
		if s.Incomplete > 0 {
			lag = (time.Duration(s.LagSeconds) * time.Second).String()
		}
		stores.Row(s.Name, humanize.Comma(s.Uploaded+s.Copied), size(s.BytesUp+s.BytesCopy), humanize.Comma(s.Requests),
			humanize.Comma(s.Incomplete), lag, faultOf(s.Name, s.Error, r.Problems))
	}
	fmt.Fprintln(w)
	if _, err := stores.WriteTo(w); err != nil {
		return err
	}
	return writeProblems(w, noted{r.Problems, r.Errors, r.Skipped, r.Blobs.Skipped + r.Vanished, r.Error})
}

// shownProblems is how many problems are shown to a person. JSON has more.
const shownProblems = 20

// faultOf returns the class of a store's fault, for a table. The details appear once, below the table.
func faultOf(store, err string, problems []mirror.Problem) string {
	if err == "" {
		return ""
	}
	for _, p := range problems {
		if p.Store == store && p.Repository == "" {
			return string(p.Class)
		}
	}
	return aboutStore(store, err) // not among the problems in the report
}

// aboutStore returns an error as one line, without the store's name if that is already beside it.
func aboutStore(store, err string) string {
	return strings.TrimPrefix(cli.OneLine(err), "store "+store+": ")
}

// noted is what a pass or a plan recorded about problems.
type noted struct {
	problems []mirror.Problem
	errors   map[mirror.Class]int64
	skipped  []mirror.Skipped
	left     int64 // the total number of skipped blobs
	whole    string
}

// writeProblems lists what failed and what was skipped, one per line.
func writeProblems(w io.Writer, n noted) error {
	var all int64
	for _, n := range n.errors {
		all += n
	}
	if shown := n.problems[:min(len(n.problems), shownProblems)]; len(shown) > 0 {
		fmt.Fprintln(w)
		for _, p := range shown {
			where, text := p.Store, aboutStore(p.Store, p.Error)
			if p.Repository != "" {
				where = p.Repository + " " + p.Reference
				if p.Store != "" {
					where += " in " + p.Store
				}
			}
			fmt.Fprintf(w, "%-15s  %s\n", p.Class, strings.TrimSpace(cli.OneLine(where)+"  "+text))
		}
		if more := all - int64(len(shown)); more > 0 {
			fmt.Fprintf(w, "and %s more: --output json has the first of each class\n", humanize.Comma(more))
		}
	}
	if s := n.skipped[:min(len(n.skipped), shownProblems)]; len(s) > 0 {
		t := cli.Table{Header: []string{"SKIPPED", "OF", "WHY"}}
		for _, b := range s {
			t.Row(cmp.Or(b.Digest, "-"), b.Repository, b.Why)
		}
		fmt.Fprintln(w)
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
		if more := n.left - int64(len(s)); more > 0 {
			fmt.Fprintf(w, "and %s more: --output json has the first of each kind\n", humanize.Comma(more))
		}
	}
	if n.whole != "" {
		fmt.Fprintf(w, "\n%s\n", cli.OneLine(n.whole))
	}
	return nil
}

// mirrorPlan shows what a pass would do.
func (a *app) mirrorPlan(ctx context.Context, f *mirrorFlags, cfg *config.Config, src *walk.Source, opt mirror.Options) error {
	fl, err := a.openStores(ctx, cfg, targets.Options{Only: f.stores})
	if err != nil {
		return err
	}
	plan, err := mirror.MakePlan(ctx, cfg, src, fl, opt)
	if cerr := fl.Close(ctx); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, plan)
	} else {
		err = writePlan(a.stdout, plan)
	}
	if err != nil {
		return err
	}
	return resultCode(plan.Result)
}

// resultCode returns the exit code for how a pass ended, or would end.
func resultCode(r mirror.Result) error {
	switch r {
	case mirror.Done:
		return nil
	case mirror.Partial:
		return cli.Exit(cli.CodePartial)
	case mirror.Interrupted:
		return cli.Fail("what was done is kept; the next run goes on from there", "interrupted")
	case mirror.Failed:
	}
	return cli.Exit(cli.CodeFailure)
}

func writePlan(w io.Writer, p *mirror.Plan) error {
	if p.Result == mirror.Failed { // a plan that cannot be carried out has no numbers
		if _, err := fmt.Fprintln(w, "result  a run would fail: nothing could be done"); err != nil {
			return err
		}
		return writeProblems(w, noted{p.Problems, p.Errors, p.LeftOut, p.Skipped + p.Vanished, p.Error})
	}
	facts := cli.Table{}
	if p.Result == mirror.Partial {
		facts.Row("result", "a run would be partial: what is listed below would fail")
	}
	if p.Shard != "" {
		facts.Row("shard", fmt.Sprintf("%s; %s left to the others", p.Shard, cli.Count(p.Others, "blob")))
	}
	facts.Row("images", fmt.Sprintf("%s seen, %s complete", humanize.Comma(p.Images.Seen), humanize.Comma(p.Images.Complete)))
	facts.Row("to read", fmt.Sprintf("%s, %s", cli.Count(p.Blobs, "blob"), size(p.Bytes)))
	facts.Row("source requests", fmt.Sprintf("%s for the walk, %s for blobs", humanize.Comma(p.WalkRequests), humanize.Comma(p.Requests)))
	if p.Skipped > 0 {
		facts.Row("blobs skipped", humanize.Comma(p.Skipped))
	}
	facts.Row("time", "at least "+time.Duration(p.Seconds*float64(time.Second)).Round(time.Second).String()+", by requestsPerSecond and bandwidthMBps")
	facts.Row("estimate", dollars(p.Cents)+" for bytes that leave a place, run beside the source; requests and storage are not in it")
	if _, err := facts.WriteTo(w); err != nil {
		return err
	}
	t := cli.Table{Header: []string{"STORE", "BLOBS", "UPLOADED", "COPIED", "REQUESTS", "COST", "PRICE"}}
	for _, s := range p.Stores {
		basis := s.Basis
		if s.Estimate {
			basis += ", estimated"
		}
		if s.Error != "" {
			t.Row(s.Name, "-", "-", "-", "-", "-", faultOf(s.Name, s.Error, p.Problems))
			continue
		}
		t.Row(s.Name, humanize.Comma(s.Blobs), size(s.Uploaded), size(s.Copied), humanize.Comma(s.Requests), dollars(s.Cents), basis)
	}
	fmt.Fprintln(w)
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	return writeProblems(w, noted{p.Problems, p.Errors, p.LeftOut, p.Skipped + p.Vanished, p.Error})
}

func dollars(cents float64) string { return fmt.Sprintf("$%.2f", cents/100) }
