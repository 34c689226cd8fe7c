package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/fleet"
	"ociproxy/internal/inventory/inspect"
	"ociproxy/internal/logsource"
	"ociproxy/internal/report"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/gather"
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
	once     *once
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
	if url == "" && len(g.how.logs.logs)+len(g.how.rollups) == 0 {
		return cli.Usage("--prometheus URL, --logs FILE or --rollup DIRECTORY", "no source to report from")
	}
	opt := rollup.Options{Begin: g.in.Begin, End: g.in.End, Store: g.buckets()}
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
				if !yield(&days[i].Rows[j], nil) {
					return
				}
			}
		}
	})
	return nil
}

// logs reads the logs into a collector, which keeps only sums.
func (g *gathering) logs(ctx context.Context) error {
	flags := &g.how.logs
	classifier, warnings, err := g.a.classifier(ctx, g.in.Config, flags)
	if err != nil {
		return err
	}
	g.warnings = append(g.warnings, warnings...)
	reader, err := flags.reader()
	if err != nil {
		return err
	}
	days := logsource.Days{Begin: g.in.Begin, End: g.in.End}
	late := logsource.Days{Begin: days.Begin, End: days.End + 1} // logs may be delivered a day later
	var objects []iter.Seq2[*logsource.Object, error]
	for _, text := range flags.logs {
		source, err := logsource.Parse(ctx, text, logsource.Options{Stdin: g.a.stdin, Store: g.buckets()})
		if err != nil {
			return cli.Usage("a file, a pattern, s3://…, gs://…, azblob://…, or -", "--logs %s: %w", text, err)
		}
		objects = append(objects, source.List(ctx, late))
	}
	workers := runtime.GOMAXPROCS(0)
	collector := rollup.NewCollector(rollup.CollectorOptions{Parts: workers})
	g.close_ = append(g.close_, collector.Close)
	done := g.watch()
	var rolled int64
	result, err := gather.Run(ctx, g.once.only(chained(objects), &rolled), gather.Options{
		Classifier: classifier, Collector: collector, Workers: workers, Reader: reader, Days: days, Progress: done.progress,
	})
	done.end()
	if err != nil {
		return err
	}
	counts, err := collector.Finish(ctx)
	if err != nil {
		return err
	}
	if rolled > 0 {
		g.warn("%s not read: roll-ups have the same lines", cli.Count(rolled, "log"))
	}
	g.explain(result, counts)
	g.rows = append(g.rows, collector.Rows(ctx))
	g.objects = append(g.objects, collector.Objects(ctx))
	return nil
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

// held returns how many bytes the stores hold, by --held and the inventories.
func (a *app) held(ctx context.Context, cfg *config.Config, how *reporting) (map[string]float64, error) {
	out := map[string]float64{}
	if how.inventories {
		for i := range cfg.Stores {
			if s := &cfg.Stores[i]; s.Inventory.Enabled() {
				src, err := sourceOf(cfg, s.Name)
				if err != nil {
					return nil, err
				}
				held, err := a.open(ctx, src)
				if err != nil {
					return nil, err
				}
				var sum inspect.Totals
				for rec, err := range held.Records() {
					if err != nil {
						held.Close()
						return nil, err
					}
					sum.Add(rec.Size)
				}
				held.Close()
				out[s.Name] = float64(sum.Bytes)
			}
		}
	}
	for _, text := range how.held {
		name, size, ok := strings.Cut(text, "=")
		n, err := humanize.ParseBytes(size)
		if !ok || err != nil || n > 1<<60 {
			return nil, cli.Usage("for example --held s3-use1=12TiB", "--held %q is not STORE=SIZE", text)
		}
		if !slices.ContainsFunc(cfg.Stores, func(s config.Store) bool { return s.Name == name }) {
			return nil, cli.Usage("store ls lists the names", "--held %s: no store %q in the config", text, name)
		}
		out[name] = float64(n)
	}
	return out, nil
}
