package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/fleet"
	"ociproxy/internal/mirror"
	"ociproxy/internal/walk"
)

// writeMirrorReport shows what a pass did.
func writeMirrorReport(w io.Writer, r *mirror.Report) error {
	facts := cli.Table{}
	facts.Row("result", string(r.Result)+" after "+(time.Duration(r.DurationMs)*time.Millisecond).Round(10*time.Millisecond).String())
	if r.Shard != "" {
		facts.Row("shard", fmt.Sprintf("%s; %s left to the others", r.Shard, plural(r.Blobs.Others, "reference")))
	}
	facts.Row("source", fmt.Sprintf("%s: %s, %s, %s read", r.Source.Registry, count(int(r.Source.Repositories), "repository", "repositories"),
		plural(r.Source.Requests, "request"), size(r.Source.BytesRead)))
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
		stores.Row(s.Name, humanize.Comma(s.Uploaded+s.Copied), size(s.BytesUp+s.BytesCopy), humanize.Comma(s.Requests), humanize.Comma(s.Incomplete), lag, s.Error)
	}
	fmt.Fprintln(w)
	if _, err := stores.WriteTo(w); err != nil {
		return err
	}
	return writeProblems(w, r.Problems, r.Errors, r.Skipped, r.Error)
}

// shownProblems is how many problems a person reads; JSON has more.
const shownProblems = 20

func writeProblems(w io.Writer, problems []mirror.Problem, errors map[mirror.Class]int64, skipped []mirror.Skipped, whole string) error {
	t := cli.Table{Header: []string{"PROBLEM", "WHERE", "ERROR"}}
	for _, p := range problems[:min(len(problems), shownProblems)] {
		where := p.Store
		if p.Repository != "" {
			where = p.Repository + " " + p.Reference
			if p.Store != "" {
				where += " in " + p.Store
			}
		}
		t.Row(string(p.Class), where, p.Error)
	}
	var all int64
	for _, n := range errors {
		all += n
	}
	if t.Len() > 0 {
		fmt.Fprintln(w)
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
		if more := all - int64(t.Len()); more > 0 {
			fmt.Fprintf(w, "and %s more: --output json has the first of each class\n", humanize.Comma(more))
		}
	}
	if s := skipped[:min(len(skipped), shownProblems)]; len(s) > 0 {
		t := cli.Table{Header: []string{"SKIPPED", "OF", "WHY"}}
		for _, b := range s {
			t.Row(cmp.Or(b.Digest, "-"), b.Repository, b.Why)
		}
		fmt.Fprintln(w)
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
	}
	if whole != "" {
		fmt.Fprintf(w, "\n%s\n", cli.OneLine(whole))
	}
	return nil
}

// mirrorPlan shows what a pass would do.
func (a *app) mirrorPlan(ctx context.Context, f *mirrorFlags, cfg *config.Config, src *walk.Source, opt mirror.Options) error {
	fl, err := a.openStores(ctx, cfg, fleet.Options{Only: f.stores})
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
	if err == nil && (len(plan.Errors) > 0 || plan.Error != "") {
		err = cli.Exit(codePartial)
	}
	return err
}

func writePlan(w io.Writer, p *mirror.Plan) error {
	facts := cli.Table{}
	if p.Shard != "" {
		facts.Row("shard", fmt.Sprintf("%s; %s left to the others", p.Shard, plural(p.Others, "blob")))
	}
	facts.Row("images", fmt.Sprintf("%s seen, %s complete", humanize.Comma(p.Images.Seen), humanize.Comma(p.Images.Complete)))
	facts.Row("to read", fmt.Sprintf("%s, %s", plural(p.Blobs, "blob"), size(p.Bytes)))
	facts.Row("source requests", fmt.Sprintf("%s for the walk, %s for blobs", humanize.Comma(p.WalkRequests), humanize.Comma(p.Requests)))
	if p.Skipped > 0 {
		facts.Row("blobs skipped", humanize.Comma(p.Skipped))
	}
	facts.Row("time", "at least "+time.Duration(p.Seconds*float64(time.Second)).Round(time.Second).String()+", by requestsPerSecond and bandwidthMBps")
	facts.Row("cost", dollars(p.Cents)+" for bytes that leave a place, run beside the source; requests and storage are not in it")
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
			basis = s.Error
		}
		t.Row(s.Name, humanize.Comma(s.Blobs), size(s.Uploaded), size(s.Copied), humanize.Comma(s.Requests), dollars(s.Cents), basis)
	}
	fmt.Fprintln(w)
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	return writeProblems(w, p.Problems, p.Errors, nil, p.Error)
}

func dollars(cents float64) string { return fmt.Sprintf("$%.2f", cents/100) }
