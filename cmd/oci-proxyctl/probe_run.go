package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/show"
)

// once makes one run, shows it, and returns the exit code.
func (p *probing) once(ctx context.Context) error {
	p.announce(p.opt.Limits)
	line := p.progress()
	opt := p.opt
	opt.Progress = followed(line)
	r, err := probe.Run(ctx, opt)
	line.clear()
	if err != nil {
		return err
	}
	err = p.writeReports(p.flags.reports, func(w io.Writer, format cli.Format) error { return p.writeProbe(w, format, r) })
	if err != nil {
		return err
	}
	switch {
	case r.Errors > 0 || r.Passed == 0:
		return cli.Exit(cli.CodeFailure)
	case r.Warnings > 0 || r.Skipped > 0:
		return cli.Exit(cli.CodeDifferent)
	}
	return nil
}

// followed returns a function that shows findings on a line.
func followed(line *progress) func(probe.Finding) {
	counts := map[judge.Result]int{}
	return func(f probe.Finding) {
		counts[f.Result]++
		line.line(fmt.Sprintf("%d right, %d wrong, %s; %s as %s", counts[judge.OK], counts[judge.Failed],
			cli.Count(int64(counts[judge.Warning]), "warning"), f.Check, f.As))
	}
}

func (a *app) writeProbe(w io.Writer, format cli.Format, r *probe.Report) error {
	switch format {
	case cli.JSON:
		return cli.WriteJSON(w, r)
	case cli.JUnit:
		return show.JUnit(w, r)
	case cli.Markdown:
		return show.Markdown(w, r)
	default:
		return show.Text(w, r, cli.UseColor(w, a.env))
	}
}

// announce says what a run may cost, before it begins.
func (p *probing) announce(l probe.Limits) {
	if p.note != "" {
		fmt.Fprintf(p.stderr, "images: %s\n", p.note)
	}
	fmt.Fprintf(p.stderr, "a run makes at most %s, reads at most %s and takes at most %s, as %s\n", cli.Count(l.Requests, "request"),
		size(l.Bytes), l.Time, cli.Count(int64(1+len(p.opt.Classes)), "class of clients", "classes of clients"))
}

// probePlan is the output of --dry-run.
type probePlan struct {
	Name       string     `json:"name"`
	Classes    []string   `json:"classes"`
	Limits     probe.Cost `json:"limits"`
	probe.Plan            // of one run
	Every      float64    `json:"everySeconds"` // that Day assumes
	Day        probe.Cost `json:"day"`
	DayMax     int64      `json:"dayMaxBytes"`

	Status *statusPlan `json:"status,omitempty"`
}

// usualEvery is the interval of a monitor for which --dry-run gives the cost, unless --every gives one.
const usualEvery = time.Minute

// estimate resolves the images and says what runs would cost.
func (p *probing) estimate(ctx context.Context) (*probePlan, error) {
	plan, err := probe.NewPlan(ctx, p.opt)
	if err != nil {
		return nil, err
	}
	every := p.flags.every
	if every == 0 {
		every = usualEvery
	}
	out := &probePlan{
		Name: p.name, Plan: *plan, Limits: p.opt.Limits.Cost(), Classes: []string{probe.Self.Name}, DayMax: int64(p.flags.dayBytes), Every: every.Seconds(),
	}
	for _, c := range p.opt.Classes {
		out.Classes = append(out.Classes, c.Name)
	}
	out.Day = perDay(plan, every, p.wholeEvery())
	out.Status, err = p.planStatus(ctx, every)
	return out, err
}

// wholeEvery is the time between runs that read whole layers; 0: no run does.
func (p *probing) wholeEvery() time.Duration {
	if p.flags.decisions {
		return 0
	}
	return p.flags.pathEvery
}

// perDay adds up the runs of a day.
func perDay(plan *probe.Plan, every, whole time.Duration) (day probe.Cost) {
	const long = 24 * time.Hour
	runs := int64((long + every - 1) / every)
	var paths int64
	if whole > 0 {
		paths = min(runs, int64((long+whole-1)/whole))
	}
	add := func(n int64, c probe.Cost) {
		day.Requests += n * c.Requests
		day.Bytes += n * c.Bytes
		day.Seconds += float64(n) * c.Seconds
	}
	add(paths, plan.Whole)
	add(runs-paths, plan.Decisions)
	return day
}

// plan shows what a run would ask, and asks nothing but what the images are.
func (p *probing) plan(ctx context.Context) error {
	e, err := p.estimate(ctx)
	if err != nil {
		return err
	}
	if p.format == cli.JSON {
		err = cli.WriteJSON(p.stdout, e)
	} else {
		err = p.writePlan(e)
	}
	if err != nil {
		return err
	}
	for _, im := range e.Images {
		if len(im.Problems) > 0 {
			return cli.Exit(cli.CodeFailure)
		}
	}
	return nil
}

func (p *probing) writePlan(e *probePlan) error {
	images := cli.Table{Header: []string{"IMAGE", "DIGEST", "PLATFORMS", "BLOBS", "SIZE", "PROBLEM"}}
	for _, im := range e.Images {
		problem := ""
		if len(im.Problems) > 0 {
			problem = im.Problems[0]
		}
		images.Row(im.Image, im.Digest, fmt.Sprint(im.Platforms), fmt.Sprint(im.Blobs), size(im.Bytes), problem)
	}
	if _, err := images.WriteTo(p.stdout); err != nil {
		return err
	}
	costs := cli.Table{Header: []string{"ABOUT", "REQUESTS", "SIZE", "TIME"}}
	row := func(what string, c probe.Cost) {
		costs.List(what, cli.Count(c.Requests, "request"), size(c.Bytes), (time.Duration(c.Seconds) * time.Second).String())
	}
	if !p.opt.Decisions {
		row("one run", e.Whole)
	}
	row("one run with --decisions", e.Decisions)
	row(fmt.Sprintf("a day with --every %s", time.Duration(e.Every)*time.Second), e.Day)
	row("bounds of one run", e.Limits)
	costs.List("bound of a day", "", size(e.DayMax), "")
	if p.note != "" {
		fmt.Fprintf(p.stdout, "\n%s.\n", p.note)
	}
	fmt.Fprintf(p.stdout, "\n%s\n", cli.Count(int64(len(e.Classes)), "class of clients", "classes of clients"))
	for _, c := range e.Classes {
		fmt.Fprintf(p.stdout, "  %s\n", c)
	}
	fmt.Fprintln(p.stdout)
	if _, err := costs.WriteTo(p.stdout); err != nil {
		return err
	}
	if e.Status != nil {
		e.Status.write(p)
	}
	if one := e.Whole; !p.opt.Decisions && (one.Requests > e.Limits.Requests || one.Bytes > e.Limits.Bytes || one.Seconds > e.Limits.Seconds) {
		fmt.Fprintf(p.stdout, "\nA run would reach its bounds. Ask for fewer images or as fewer clients, or raise --max-requests, --max-bytes, --max-time or --max-rate.\n")
	}
	if e.Day.Bytes > e.DayMax {
		fmt.Fprintf(p.stdout, "\nA monitor would not begin: a day takes more than --max-bytes-per-day. Raise it, or ask less often, for fewer images or as fewer clients.\n")
	}
	return nil
}
