package main

import (
	"context"
	"iter"
	"path/filepath"
	"slices"

	"ociproxy/internal/cli"
	"ociproxy/internal/logsource"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/refresh"
)

// once sees to it that no log counts twice in a report: two places of --logs may have it, two of --rollup, or one of each.
type once struct {
	seen   map[string]bool          // logs that were read
	rolled map[string][]rollup.Info // roll-ups, by the day in the names of their logs
}

// newOnce reads what the roll-ups were made from, unless they are all that counts: one place never has a log twice. The
// error names two roll-ups that have the same logs.
func newOnce(ctx context.Context, how *reporting, opt rollup.Options) (*once, error) {
	o := &once{seen: map[string]bool{}, rolled: map[string][]rollup.Info{}}
	if len(how.rollups)+len(how.logs.logs) < 2 {
		return o, nil
	}
	for _, from := range how.rollups {
		infos, err := rollup.Infos(ctx, from, opt)
		if err != nil {
			return nil, err
		}
		for _, is := range infos {
			for _, was := range o.rolled[is.LogDay] {
				if shares(&was, &is) {
					return nil, cli.Usage("give one of them", "--rollup %s: the logs that %s was made from are also in %s: they would count twice",
						from, is.Name, was.Name)
				}
			}
		}
		for _, is := range infos { // after the comparison: files of one place are not compared with each other
			o.rolled[is.LogDay] = append(o.rolled[is.LogDay], is)
		}
	}
	return o, nil
}

// shares reports whether two roll-ups of a day were made from the same logs. Names are comparable if they begin at the
// same place.
func shares(a, b *rollup.Info) bool {
	if a.Logs != b.Logs && !filepath.IsAbs(a.Logs) {
		return logsource.Overlaps(a.Logs, b.Logs)
	}
	return slices.ContainsFunc(a.Covers, func(c rollup.Cover) bool { _, ok := find(b, c); return ok })
}

// find returns what a roll-up has of a log.
func find(in *rollup.Info, c rollup.Cover) (rollup.Cover, bool) {
	i, ok := slices.BinarySearchFunc(in.Covers, c, func(a, b rollup.Cover) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	if !ok {
		return rollup.Cover{}, false
	}
	return in.Covers[i], true
}

// only leaves out the logs that were read already, and those that a roll-up has; those are counted in rolled. A log that
// has grown since the roll-up was made is an error: a part of it would count twice.
func (o *once) only(all iter.Seq2[*logsource.Object, error], rolled *int64) iter.Seq2[*logsource.Object, error] {
	return func(yield func(*logsource.Object, error) bool) {
		for log, err := range all {
			if err == nil {
				var has bool
				if has, err = o.has(log); has {
					*rolled++
				}
				if err == nil && (has || log.Size >= 0 && o.seen[fileOf(log)]) { // a pipe can be read again and has something else
					continue
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			o.seen[fileOf(log)] = true
			if !yield(log, nil) {
				return
			}
		}
	}
}

// fileOf names a log, a file without the links on the way to it: two names of a file are one log.
func fileOf(log *logsource.Object) string {
	if filepath.IsAbs(log.Name) {
		if name, err := filepath.EvalSymlinks(log.Name); err == nil {
			return name
		}
	}
	return log.String()
}

func (o *once) has(log *logsource.Object) (bool, error) {
	c, place := refresh.Cover(log), log.Source.String()
	for i := range o.rolled[refresh.DayName(log.Day)] {
		in := &o.rolled[refresh.DayName(log.Day)][i]
		if in.Logs != place && !filepath.IsAbs(log.Name) {
			if logsource.Overlaps(in.Logs, place) {
				return false, cli.Usage("leave out --logs, or give the place that was rolled up", "%s may be in %s, which was made from %s: it would count twice", log, in.Name, in.Logs)
			}
			continue
		}
		switch was, ok := find(in, c); {
		case ok && was.Content == c.Content:
			return true, nil
		case ok:
			return false, cli.Usage("make it again with report rollup, or leave out --logs", "%s has changed since %s was made from it: a part of it would count twice", log, in.Name)
		}
	}
	return false, nil
}
