package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/klauspost/compress/gzip"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/internal/config"
	"ociproxy/internal/logsource"
	"ociproxy/internal/ranges"
	"ociproxy/internal/rollup"
	"ociproxy/internal/rollup/refresh"
	"ociproxy/internal/rollup/rolluptest"
	"ociproxy/internal/store"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

const (
	// rollupLines is how many lines of one day are rolled up, in rollupFiles log objects.
	rollupLines, rollupFiles = 5_000_000, 20
	// rollupDigests is how many digests they ask for.
	rollupDigests = 500_000
)

// rollups rolls up a day of S3's logs with all cores, and lets DuckDB make the same sums of the same files: without
// duplicates, by bucket, day, operation and network of the client.
func rollups(ctx context.Context, dir string) ([]figures.Figure, error) {
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		return nil, err
	}
	plain, err := generateDay(logs)
	if err != nil {
		return nil, err
	}
	got, err := process.Measure(ctx, "measure", "rollup", dir)
	if err != nil {
		return nil, err
	}
	out := []figures.Figure{
		{Name: "report.rollup.lines", Value: rollupLines / got["seconds"], Unit: "1/s"},
		{Name: "report.rollup.rate", Value: float64(plain) / 1e6 / got["seconds"], Unit: "MB/s"},
		{Name: "report.rollup.cpu", Value: got["cpu"] * 1e6 / rollupLines, Unit: "µs"},
		{Name: "report.rollup.peak", Value: got["peak"], Unit: "MiB"},
		{Name: "report.rollup.spilled", Value: got["spilled"] / 1e6, Unit: "MB"},
		{Name: "report.rollup.row", Value: got["written"] / got["rows"], Unit: "B"},
	}
	duck, seconds, err := duckdb(ctx, logs)
	if err != nil || duck == 0 {
		return out, err
	}
	return append(out,
		figures.Figure{Name: "report.rollup.duckdb_cpu_ratio", Value: got["cpu"] / duck.Seconds(), Unit: "1"},
		figures.Figure{Name: "report.rollup.duckdb_time_ratio", Value: got["seconds"] / seconds.Seconds(), Unit: "1"}), nil
}

const benchDay traffic.Day = 20788 // 2026-12-01

// generateDay writes the logs, of which one line in a hundred was delivered twice, and returns their bytes before
// compression.
func generateDay(dir string) (plain int64, err error) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range rollupFiles {
		file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%02d-00-00-A.gz", benchDay, i)))
		if err != nil {
			return 0, err
		}
		out := bufio.NewWriter(file)
		z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
		if err != nil {
			return 0, err
		}
		lines := rolluptest.Lines(r, benchDay, rollupLines/rollupFiles*100/101, rollupDigests)
		lines = append(lines, lines[:rollupLines/rollupFiles-len(lines)]...)
		var text []byte
		for j := range lines {
			text = lines[j].Append(text[:0])
			plain += int64(len(text))
			if _, err := z.Write(text); err != nil {
				return 0, err
			}
		}
		if err := errors.Join(z.Close(), out.Flush(), file.Close()); err != nil {
			return 0, err
		}
	}
	return plain, nil
}

// measureRollup rolls up the directory logs in dir, as oci-proxyctl does.
func measureRollup(ctx context.Context, dir string) error {
	debug.SetMemoryLimit(192 << 20)
	cfg, err := config.Parse("config.yaml", []byte(rolluptest.Config))
	if err != nil {
		return err
	}
	where, err := ranges.New(cfg.Ranges, cfg.Map(), ranges.Options{})
	if err != nil {
		return err
	}
	classifier, err := usage.New(cfg, where, usage.Options{})
	if err != nil {
		return err
	}
	into := filepath.Join(dir, "rollup")
	if err := os.Mkdir(into, 0o700); err != nil {
		return err
	}
	b, err := store.Open(ctx, "file://"+into, store.Options{})
	if err != nil {
		return err
	}
	from, err := logsource.Parse(ctx, filepath.Join(dir, "logs"), logsource.Options{})
	if err != nil {
		return err
	}
	begin := time.Now()
	p, err := refresh.NewPlan(ctx, refresh.Options{
		Into: b, From: []*logsource.Source{from}, Classifier: classifier, Workers: runtime.GOMAXPROCS(0), Dir: dir,
	})
	if err != nil {
		return err
	}
	r, err := p.Run(ctx, nil)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	spent, err := used()
	if err != nil {
		return err
	}
	most, err := peak()
	if err != nil {
		return err
	}
	if len(r.Failed) > 0 || r.Counts.Lines != rollupLines || r.Counts.Duplicates == 0 {
		return fmt.Errorf("the roll-up is not complete: %+v", r)
	}
	infos, err := rollup.Infos(ctx, into, rollup.Options{})
	if err != nil {
		return err
	}
	fmt.Printf("seconds %f\ncpu %f\npeak %f\nspilled %d\nwritten %d\nrows %d\n", took.Seconds(), spent.Seconds(), most, r.Spilled, infos[0].Size, infos[0].Rows)
	return nil
}

// duckQuery adds up the lines that read_csv gives as they are.
const duckQuery = `SELECT COUNT(*) AS groups, SUM(n) AS lines FROM (
  SELECT m.bucket, m.day, m.op, m.net, COUNT(*) AS n, SUM(TRY_CAST(m.bytes AS BIGINT)) AS bytes FROM (
    SELECT DISTINCT regexp_extract(line, '^\S+ (\S+) \[([^:]+):[^\]]+\] (\d+\.\d+\.\d+)\.\d+ \S+ (\S+) (\S+) \S+ "[^"]*" (\d+) \S+ (\S+)',
      ['bucket', 'day', 'net', 'id', 'op', 'status', 'bytes']) AS m
    FROM read_csv('%s/*.gz', columns = {'line': 'VARCHAR'}, delim = '\x01', header = false, quote = '', escape = '', auto_detect = false)
  ) GROUP BY 1, 2, 3, 4)`

// duckdb returns the CPU time and the time that DuckDB takes. Without it, which scripts/parts.sh installs, both are 0.
func duckdb(ctx context.Context, logs string) (spent, took time.Duration, err error) {
	modules := filepath.Join(".bin", "duckdb", "node_modules")
	if dir := os.Getenv("OCIPROXY_PARTS"); dir != "" {
		modules = filepath.Join(dir, "duckdb", "node_modules")
	}
	if modules, err = filepath.Abs(modules); err != nil {
		return 0, 0, err
	}
	_, missing := os.Stat(modules)
	if _, noNode := exec.LookPath("node"); missing != nil || noNode != nil {
		fmt.Fprintln(os.Stderr, "no DuckDB: scripts/parts.sh slow installs it")
		return 0, 0, nil
	}
	cmd := process.Command(ctx, "node", filepath.Join("test", "rollups", "totals.mjs"), modules, fmt.Sprintf(duckQuery, logs))
	cmd.Stderr = os.Stderr
	begin := time.Now()
	text, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("DuckDB: %w", err)
	}
	fmt.Fprintf(os.Stderr, "DuckDB: %s", text)
	return cpu(cmd), time.Since(begin), nil
}
