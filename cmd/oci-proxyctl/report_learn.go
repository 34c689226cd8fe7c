package main

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/cli"
	"ociproxy/internal/delivered"
	"ociproxy/internal/logsource"
	"ociproxy/internal/report"
	"ociproxy/internal/rollup/gather"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// learnDays returns the days of --learn.
func (how *reporting) learnDays() (days logsource.Days, err error) {
	first, last, ok := strings.Cut(how.learn, "..")
	begin, err1 := traffic.ParseDay(first)
	end, err2 := traffic.ParseDay(last)
	if !ok || err1 != nil || err2 != nil || end <= begin {
		return days, cli.Usage("BEGIN..END, where END is the day after the last one, for example --learn 2026-10-01..2026-10-15", "--learn %q names no days", how.learn)
	}
	return logsource.Days{Begin: begin, End: end}, nil
}

// checkLearn refuses --learn where it can do nothing.
func (how *reporting) checkLearn() error {
	if how.learn == "" {
		return nil
	}
	if len(how.logs.logs) == 0 {
		return cli.Usage("--logs with the logs of the proxy and of a store", "--learn needs logs")
	}
	if slices.Contains(how.logs.logs, "-") {
		return cli.Usage("name a file instead", "--learn reads the logs several times, and stdin can be read once")
	}
	_, err := how.learnDays()
	return err
}

// learn reads the logs of the days of --learn, those of the proxy first: only they have the sizes of all blobs.
func (g *gathering) learn(ctx context.Context, how *reading, opt gather.Options) (*delivered.Correction, error) {
	var err error
	if opt.Days, err = g.how.learnDays(); err != nil {
		return nil, err
	}
	var learner delivered.Learner
	var one sync.Mutex
	for _, proxy := range []bool{true, false} {
		opt.Each = func(use *usage.Use, rec *accesslog.Record) error {
			if (use.Source == traffic.FromProxy) == proxy {
				one.Lock()
				defer one.Unlock()
				learner.Add(use, rec)
			}
			return nil
		}
		each, rolled := once{seen: map[string]bool{}}, int64(0) // what a roll-up has is learned from all the same
		if _, err := g.gather(ctx, each.only(how.list(ctx, opt.Days), &rolled), opt); err != nil {
			return nil, noLogs(err)
		}
	}
	f := learner.Factors()
	for _, u := range f.Unequal() {
		g.warn("--learn: the log of %s of %s has %.1f%% of the requests in the proxy's log: nothing is learned from lines without a request ID",
			cli.OneLine(u.Store), u.Day, 100*u.Complete)
	}
	if learner.Dropped > 0 {
		g.warn("--learn: %s not learned from: too many in these days; choose fewer", cli.Count(learner.Dropped, "redirect"))
	}
	if !f.Known() {
		return nil, cli.Fail("choose days of which the logs have both the proxy's request log and the log of a store, each at least 98% complete",
			"--learn %s: nothing can be learned from these days; %d downloads of a store are needed", g.how.learn, delivered.Enough)
	}
	g.learned = f.Days()
	return delivered.NewCorrection(f), nil
}

// counted returns a row of the counters with the bytes that were sent, by what the proxy's log of the day says of the same
// clients. The counters do not know which programs pull.
func (g *gathering) counted(r *traffic.Row) *traffic.Row {
	if g.corrected == nil {
		return r
	}
	row := *r
	row.Bytes *= g.corrected.Ratio(r.Store, r.Client.Cloud, r.Day)
	return &row
}

// tellLearned puts into the report what was learned and what it changed.
func (g *gathering) tellLearned(r *report.Report) {
	if g.corrected == nil {
		return
	}
	var days []string
	for _, d := range g.learned {
		days = append(days, d.String())
	}
	for _, c := range g.corrected.List() {
		share, off := c.Share()
		one := report.Delivered{Store: c.Store, First: c.First.String(), Last: c.Last.String(), Days: c.Days, Asked: c.Asked, Sent: c.Sent, Factor: share, Learned: days}
		if !math.IsNaN(off) {
			one.Error = off
		}
		r.Delivered = append(r.Delivered, one)
	}
	if len(r.Delivered) == 0 {
		r.Warnings = append(r.Warnings, "--learn changed nothing: the proxy's request log has no other days than those that were learned from")
	}
}
