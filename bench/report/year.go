package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/internal/bill"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/report"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/rolluptest"
	"ociproxy/internal/traffic"
)

const (
	// yearDays is how many days there are, from benchDay on. Each has yearRows rows and yearObjects objects.
	yearDays, yearRows, yearObjects = 365, 20_000, 10_000
	// yearRepositories and yearDigests is how many there are in the whole year.
	yearRepositories, yearDigests = 2_000, 50_000
)

// year reports a year of roll-ups of the proxy's log.
func year(ctx context.Context, dir string) ([]figures.Figure, error) {
	into := filepath.Join(dir, "year")
	defer func() { _ = os.RemoveAll(into) }() // the directory is removed anyway
	if err := generateYear(into); err != nil {
		return nil, err
	}
	got, err := process.Measure(ctx, "measure", "year", into)
	if err != nil {
		return nil, err
	}
	return []figures.Figure{
		{Name: "report.year.time", Value: got["seconds"], Unit: "s"},
		{Name: "report.year.cpu", Value: got["cpu"], Unit: "s"},
		{Name: "report.year.rows", Value: got["rows"] / got["seconds"], Unit: "1/s"},
		{Name: "report.year.peak", Value: got["peak"], Unit: "MiB"},
	}, nil
}

// generateYear writes the roll-ups: clients of all regions, and few repositories with most of the pulls.
func generateYear(into string) error {
	cfg, err := config.Parse("config.yaml", []byte(rolluptest.Config))
	if err != nil {
		return err
	}
	var places []place.Place
	for _, s := range cfg.Map().Sites() {
		places = append(places, s.Place)
	}
	r := rand.New(rand.NewPCG(2, 2))
	names := rand.NewZipf(r, 1.1, 10, yearRepositories-1)
	repositories := make([]string, yearRepositories)
	for i := range repositories {
		repositories[i] = fmt.Sprintf("team-%02d/app-%04d", i%97, i)
	}
	digests := make([]string, yearDigests)
	for i := range digests {
		digests[i] = fmt.Sprintf("sha256:%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	for day := benchDay; day < benchDay+yearDays; day++ {
		seen := map[traffic.Key]bool{}
		rows := make([]traffic.Row, 0, yearRows)
		for len(rows) < yearRows {
			k := traffic.Key{
				Day: day, Client: places[r.IntN(len(places))], Store: []string{"main", "s3-fra", "s3-use1"}[r.IntN(3)], Class: traffic.Client,
				Operation: traffic.Get, Reason: []string{"nearest", "nearest", "absent"}[r.IntN(3)], Source: traffic.FromProxy,
				Repository: repositories[names.Uint64()],
			}
			if !seen[k] {
				seen[k] = true
				n := int64(1 + r.IntN(1000))
				rows = append(rows, traffic.Row{Key: k, Requests: float64(n), Bytes: float64(n) * 3e7, Lines: n, Squares: float64(n) * 9e14})
			}
		}
		slices.SortFunc(rows, func(a, b traffic.Row) int { return rollup.Compare(&a, &b) })
		objects := make([]traffic.Object, yearObjects)
		for i := range objects {
			objects[i] = traffic.Object{Digest: digests[r.IntN(yearDigests)], Month: traffic.DayOf(monthOf(day.Time())), Client: places[r.IntN(len(places))], Requests: 1, Bytes: 3e7}
		}
		slices.SortFunc(objects, func(a, b traffic.Object) int { return cmp.Compare(a.Digest, b.Digest) })
		m := rollup.Meta{Logs: "s3://logs/requests/", LogDay: day.String(), From: []traffic.Source{traffic.FromProxy}}
		if err := writeYear(filepath.Join(into, rollup.Name(rollup.Rows, m.LogDay, m.Logs)), func(w *bufio.Writer) error {
			_, err := rollup.WriteRows(w, m, pointers(rows))
			return err
		}); err != nil {
			return err
		}
		if err := writeYear(filepath.Join(into, rollup.Name(rollup.Objects, m.LogDay, m.Logs)), func(w *bufio.Writer) error {
			_, err := rollup.WriteObjects(w, m, pointers(objects))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func monthOf(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }

func pointers[T any](all []T) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for i := range all {
			if !yield(&all[i], nil) {
				return
			}
		}
	}
}

func writeYear(name string, write func(*bufio.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	return errors.Join(write(out), out.Flush(), file.Close())
}

// measureYear makes the report, as oci-proxyctl does.
func measureYear(ctx context.Context, from string) error {
	debug.SetMemoryLimit(192 << 20)
	cfg, err := config.Parse("config.yaml", []byte(rolluptest.Config))
	if err != nil {
		return err
	}
	book, err := bill.New(cfg)
	if err != nil {
		return err
	}
	start, rows := time.Now(), 0
	opt := rollup.Options{Begin: benchDay, End: benchDay + yearDays}
	r, err := report.Make(ctx, &report.Input{
		Config: cfg, Book: book, Begin: opt.Begin, End: opt.End, Per: report.PerMonth, Now: opt.End.Time(),
		Rows: func(yield func(*traffic.Row, error) bool) {
			for row, err := range rollup.Read(ctx, from, opt) {
				if rows++; !yield(row, err) {
					return
				}
			}
		},
		Objects: rollup.ReadObjects(ctx, from, opt),
	})
	if err != nil {
		return err
	}
	took := time.Since(start)
	spent, err := used()
	if err != nil {
		return err
	}
	most, err := peak()
	if err != nil {
		return err
	}
	if len(r.Months) < 12 || rows < yearDays*yearRows {
		return fmt.Errorf("%d months, %d rows", len(r.Months), rows)
	}
	fmt.Printf("seconds %f\ncpu %f\npeak %f\nrows %d\n", took.Seconds(), spent.Seconds(), most, rows)
	return nil
}
