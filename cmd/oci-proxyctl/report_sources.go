package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/cli"
	"ociproxy/internal/delivered"
	"ociproxy/internal/fleet"
	"ociproxy/internal/logsource"
	"ociproxy/internal/report"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/gather"
	"ociproxy/internal/rollup/refresh"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// gathering collects the rows of all sources.
type gathering struct {
	a        *app
	how      *reporting
	in       *report.Input
	rows     []iter.Seq2[*traffic.Row, error]
	objects  []iter.Seq2[*traffic.Object, error]
	warnings []string
	close_   []func()
	// corrected is what --learn changes; nil: nothing.
	corrected *delivered.Correction
	learned   []traffic.Day // the days from which
	once      *once         // which logs were read
}

func (g *gathering) close() {
	for _, c := range g.close_ {
		c()
	}
}

func (g *gathering) warn(format string, args ...any) {
	g.warnings = append(g.warnings, fmt.Sprintf(format, args...))
}

// all opens every source and puts their rows into the input.
func (g *gathering) all(ctx context.Context) error {
	url := cmp.Or(g.how.prometheus, g.a.env(prometheusVariable))
	opt := rollup.Options{Begin: g.in.Begin, End: g.in.End, Store: g.buckets()}
	for _, from := range g.how.rollups {
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(from, ":*?[") {
			return cli.Fail("name what report rollup --into has made: docs/rollups.md", "--rollup: no directory %q", from)
		}
	}
	var err error
	if g.once, err = newOnce(ctx, g.how, opt); err != nil {
		return err
	}
	for _, from := range g.how.rollups {
		g.rows = append(g.rows, rollup.Read(ctx, from, opt))
		g.objects = append(g.objects, rollup.ReadObjects(ctx, from, opt))
	}
	if url != "" {
		if err := g.fleet(ctx, url); err != nil {
			return err
		}
	}
	if len(g.how.logs.logs) > 0 {
		if err := g.logs(ctx); err != nil {
			return err
		}
	}
	g.in.Rows, g.in.Objects = chained(g.rows), chained(g.objects)
	return nil
}

func (g *gathering) buckets() store.Options { return store.Options{Getenv: g.a.env} }

// chained gives the values of one sequence after the other.
func chained[T any](all []iter.Seq2[*T, error]) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for _, one := range all {
			for v, err := range one {
				if !yield(v, err) {
					return
				}
			}
		}
	}
}

// fleet reads Prometheus.
func (g *gathering) fleet(ctx context.Context, url string) error {
	client, err := g.a.openPrometheus(url)
	if err != nil {
		return err
	}
	watch := g.a.progress()
	days, err := fleet.Read(ctx, client, g.in.Begin, g.in.End, g.in.Now, func(done, all int) {
		watch.line(fmt.Sprintf("Prometheus: %d of %s", done, cli.Count(int64(all), "day")))
	})
	watch.clear()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return cli.Fail("is it the Prometheus that scrapes the instances?", "%w", err)
	}
	g.in.Seen = map[traffic.Day]float64{}
	for i := range days {
		g.in.Seen[days[i].Day] = days[i].Seen
	}
	g.rows = append(g.rows, func(yield func(*traffic.Row, error) bool) {
		for i := range days {
			for j := range days[i].Rows {
				if !yield(g.counted(&days[i].Rows[j]), nil) {
					return
				}
			}
		}
	})
	return nil
}

// reading is how the logs of the flags are read.
type reading struct {
	classifier *usage.Classifier
	reader     func() *accesslog.Reader
	sources    []*logsource.Source
}

func (g *gathering) reading(ctx context.Context) (*reading, error) {
	flags := &g.how.logs
	var how reading
	var err error
	if how.reader, err = flags.reader(); err != nil {
		return nil, err
	}
	for _, text := range flags.logs {
		source, err := logsource.Parse(ctx, text, logsource.Options{Stdin: g.a.stdin, Store: g.buckets()})
		if err != nil {
			return nil, cli.Usage("a file, a pattern, s3://…, gs://…, azblob://…, or -", "--logs %s: %w", text, err)
		}
		how.sources = append(how.sources, source)
	}
	var warnings []string
	if how.classifier, warnings, err = g.a.classifier(ctx, g.in.Config, flags); err != nil {
		return nil, err
	}
	g.warnings = append(g.warnings, warnings...)
	return &how, nil
}

// list lists the logs of days. Logs may be delivered a day later.
func (r *reading) list(ctx context.Context, days logsource.Days) iter.Seq2[*logsource.Object, error] {
	days.End++
	var all []iter.Seq2[*logsource.Object, error]
	for _, s := range r.sources {
		all = append(all, s.List(ctx, days))
	}
	return chained(all)
}

// logs reads the logs into a collector, which keeps only sums.
func (g *gathering) logs(ctx context.Context) error {
	how, err := g.reading(ctx)
	if err != nil {
		return err
	}
	opt := gather.Options{Classifier: how.classifier, Workers: runtime.GOMAXPROCS(0), Reader: how.reader,
		Days: logsource.Days{Begin: g.in.Begin, End: g.in.End}}
	if g.how.learn != "" {
		if g.corrected, err = g.learn(ctx, how, opt); err != nil {
			return err
		}
		opt.Each = g.corrected.Each
	}
	var rolled int64
	objects, err := g.disk(g.once.only(how.list(ctx, opt.Days), &rolled))
	if err != nil {
		return noLogs(err)
	}
	collector := rollup.NewCollector(rollup.CollectorOptions{Parts: opt.Workers})
	g.close_ = append(g.close_, collector.Close)
	opt.Collector = collector
	result, err := g.gather(ctx, objects, opt)
	if err != nil {
		return noRoom(err)
	}
	counts, err := collector.Finish(ctx)
	if err != nil {
		return noRoom(err)
	}
	if rolled > 0 {
		g.warn("%s not read: roll-ups have the same lines", cli.Count(rolled, "log"))
	}
	g.explain(result, counts)
	g.rows = append(g.rows, collector.Rows(ctx))
	g.objects = append(g.objects, collector.Objects(ctx))
	return nil
}

// noLogs says what to do when no log is there.
func noLogs(err error) error {
	if errors.Is(err, logsource.ErrNone) {
		return cli.Fail("name logs that exist; docs/store-logs.md says how to switch them on", "--%w", err)
	}
	return err
}

// noRoom says what to do when the disk for temporary files is full.
func noRoom(err error) error {
	if full(err) {
		return cli.Fail("set TMPDIR to a directory with more room, choose fewer days, or use report rollup, which reads a day at a time", "%w", err)
	}
	return err
}

// gather reads logs and shows how far it is.
func (g *gathering) gather(ctx context.Context, objects iter.Seq2[*logsource.Object, error], opt gather.Options) (*gather.Result, error) {
	watch := g.watch()
	defer watch.end()
	opt.Progress = watch.progress
	return gather.Run(ctx, objects, opt)
}

// disk says how much disk the logs may take before they are read, and refuses what does not fit. What always fits into
// memory is not worth a word.
func (g *gathering) disk(list iter.Seq2[*logsource.Object, error]) (iter.Seq2[*logsource.Object, error], error) {
	var objects []*logsource.Object
	var bytes, compressed int64
	for o, err := range list {
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
		bytes += max(o.Size, 0)
		if o.Compressed() {
			compressed += max(o.Size, 0)
		}
	}
	if need := refresh.Spill(bytes, compressed); need > refresh.Spill(0, 0) {
		left, dir := refresh.Free()
		fmt.Fprintf(g.a.stderr, "%s, %s; up to %s of disk in %s, which has %s left\n", cli.Count(int64(len(objects)), "log"), size(bytes), size(need), dir, size(left))
		if need > left {
			return nil, cli.Fail("set TMPDIR to a directory with more room, choose fewer days, or use report rollup, which reads a day at a time",
				"%w: %s may be needed in %s, and %s are left", refresh.ErrDisk, size(need), dir, size(left))
		}
	}
	return func(yield func(*logsource.Object, error) bool) {
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}, nil
}

// watching shows on a terminal how many lines were read.
type watching struct {
	progress *gather.Progress
	end      func()
}

func (g *gathering) watch() watching {
	w, line, begin := watching{progress: &gather.Progress{}}, g.a.progress(), time.Now()
	ticks, stop := time.NewTicker(time.Second), make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for {
			select {
			case <-stop:
				return
			case <-ticks.C:
				n := w.progress.Lines.Load()
				line.line(fmt.Sprintf("%s, %s, %s a second", cli.Count(w.progress.Objects.Load(), "log"), cli.Count(n, "line"),
					humanize.Comma(int64(float64(n)/time.Since(begin).Seconds()))))
			}
		}
	}()
	w.end = func() {
		ticks.Stop()
		close(stop)
		<-finished
		line.clear()
	}
	return w
}

// explain warns of lines that count for nothing. None is dropped without a word.
func (g *gathering) explain(r *gather.Result, c *rollup.Counts) {
	for _, f := range r.Faults[:min(len(r.Faults), 5)] {
		g.warn("%s", f.String())
	}
	if c.Malformed > 0 {
		g.warn("%s of %s could not be read", humanize.Comma(c.Malformed), cli.Count(c.Lines, "line"))
	}
	for _, pair := range r.Alike {
		g.warn("%s and %s begin with the same lines: if one is a copy of the other, leave one out; lines without a request id count twice",
			cli.OneLine(pair[0].String()), cli.OneLine(pair[1].String()))
	}
	if r.Damaged > 0 {
		g.warn("%s could not be read to the end: what came before counts", cli.Count(r.Damaged, "log"))
	}
	if c.Duplicates > 0 {
		g.warn("%s counted once: they were delivered twice, with the same request id", cli.Count(c.Duplicates, "line"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unknown)) {
		g.warn("%s in %s is not known here and not read: the provider has added it", cli.OneLine(name), cli.Count(r.Unknown[name], "line"))
	}
	if r.Passed > 0 {
		g.warn("%s of other days left out", cli.Count(r.Passed, "line"))
	}
	left := r.Left.List()
	slices.SortStableFunc(left, func(a, b usage.Leftover) int { return cmp.Compare(b.Lines, a.Lines) })
	for _, l := range left[:min(len(left), 10)] {
		name := l.Name
		if name != "" {
			name = " " + strings.TrimSpace(cli.OneLine(name))
		}
		if l.Reason == usage.NoBytes {
			g.warn("%s of%s without a size: they count as requests, their bytes do not (first at %s)", cli.Count(l.Lines, "download"), name, l.Example)
			continue
		}
		g.warn("%s left out: %s%s (first at %s)", cli.Count(l.Lines, "line"), l.Reason, name, l.Example)
	}
	if len(left) > 10 {
		g.warn("lines are left out for %d more reasons", len(left)-10)
	}
}
