package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/monitor"
	"ociproxy/internal/probe/show"
)

// loop makes runs until the program is stopped.
func (p *probing) loop(ctx context.Context) error {
	f := p.flags
	e, err := p.estimate(ctx)
	if err != nil {
		return err
	}
	p.announce(p.opt.Limits)
	fmt.Fprintf(p.stderr, "a day takes about %s and %s, and at most %s\n", cli.Count(e.Day.Requests, "request"), size(e.Day.Bytes), size(e.DayMax))
	if e.Day.Bytes > e.DayMax {
		return cli.Usage(fmt.Sprintf("give a longer --every, fewer images or clients, or --max-bytes-per-day %s", size(e.Day.Bytes)),
			"the runs of a day take about %s, more than --max-bytes-per-day %s", size(e.Day.Bytes), size(e.DayMax))
	}
	if took := time.Duration(max(e.Decisions.Seconds, e.Whole.Seconds) * float64(time.Second)).Round(time.Second); took > f.every {
		fmt.Fprintf(p.stderr, "warning: a run may take %s, longer than --every %s: give a higher --max-rate (and probe.maxRPS), or fewer images or clients\n", took, f.every)
	}
	if f.vantage == "" {
		fmt.Fprintln(p.stderr, "warning: without --vantage, metrics do not say where this probe runs")
	}
	public, err := p.openStatus(ctx)
	if err != nil {
		return err
	}
	text := p.configText()
	opt := monitor.Options{
		Name: p.name, Vantage: f.vantage, Every: f.every, PathEvery: p.wholeEvery(), DayBytes: e.DayMax,
		Run: func(ctx context.Context, whole bool, bytes int64, moved func()) (*probe.Report, error) {
			text = p.reload(ctx, text)
			if whole && f.endpoints == "" { // it changes less often than runs are made
				if listed, err := p.fetchPublished(ctx); err == nil {
					p.opt.Listed = listed
				}
			}
			one := p.opt
			one.Decisions = !whole
			one.Limits.Bytes = min(one.Limits.Bytes, bytes)
			one.Progress = func(probe.Finding) { moved() }
			return probe.Run(ctx, one)
		},
		Report: func(r *probe.Report, err error) {
			if err != nil {
				err = fmt.Errorf("no run: %w", err)
			}
			p.turnEnded(r, err, func() error { return show.Brief(p.stdout, r, time.Now()) })
			p.writeStatus(ctx, public, r)
		},
	}
	if public != nil {
		opt.More = public.Writer
	}
	return p.runLoop(ctx, f.listen, monitor.New(opt))
}

// configText returns the bytes of the config; nil: there is none, or it cannot be read.
func (p *probing) configText() []byte {
	if p.flags.file == "" || p.flags.file == "-" {
		return nil
	}
	text, err := os.ReadFile(p.flags.file)
	if err != nil {
		return nil
	}
	return text
}

// reload reads the config again if it is another one now. If it is wrong, the old one stays.
func (p *probing) reload(ctx context.Context, was []byte) []byte {
	is := p.configText()
	if is == nil || bytes.Equal(is, was) {
		return was
	}
	next, err := p.openProbe(ctx, p.name, p.flags)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintf(p.stderr, "%s: the config in use stays: %v\n", program, err)
		}
		return was
	}
	p.close()
	p.opt, p.src, p.note = next.opt, next.src, next.note
	return is
}
