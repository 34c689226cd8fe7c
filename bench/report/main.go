// Command report measures how fast the logs of stores are read and classified. It generates a log in each layout,
// compressed, and reads it in a process of its own: once only parsed, once classified too, with the table of all real
// feeds, which it takes from ../shared/data/ranges. Beside each it runs `zcat | wc -l` on the same file.
//
// The rates are per second of CPU time, so that a busy machine gives the same ones. Megabytes (10^6) are those of the
// text before compression. Then it rolls up a day of S3's logs on all cores, beside DuckDB, and reports a year of
// roll-ups. With the name of a layout, rollup or year as argument, it measures only this one.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
)

// lineCount is how many lines each log has.
const lineCount = 500_000

func main() {
	args := os.Args[1:]
	if len(args) == 3 && args[0] == "measure" {
		how := measure
		switch args[1] {
		case "rollup":
			how = func(ctx context.Context, _, dir string) error { return measureRollup(ctx, dir) }
		case "year":
			how = func(ctx context.Context, _, dir string) error { return measureYear(ctx, dir) }
		}
		if err := how(context.Background(), args[1], args[2]); err != nil {
			fmt.Fprintf(os.Stderr, "bench report: %v\n", err)
			os.Exit(1) //nolint:forbidigo // this is a main
		}
		return
	}
	os.Exit(process.Run("report", func(ctx context.Context, dir string) error { //nolint:forbidigo // this is a main
		if err := run(ctx, dir, args); err != nil {
			return fmt.Errorf("%w\nhint: run it from the project's root, with the feeds in ../shared/data/ranges", err)
		}
		return nil
	}))
}

func run(ctx context.Context, dir string, only []string) error {
	var all []figures.Figure
	for _, l := range layouts {
		if len(only) > 0 && !slices.Contains(only, l.name) {
			continue
		}
		got, err := layout(ctx, dir, &l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		all = append(all, got...)
	}
	if len(only) == 0 || slices.Contains(only, "rollup") {
		got, err := rollups(ctx, dir)
		if err != nil {
			return fmt.Errorf("rollup: %w", err)
		}
		all = append(all, got...)
	}
	if len(only) == 0 || slices.Contains(only, "year") {
		got, err := year(ctx, dir)
		if err != nil {
			return fmt.Errorf("year: %w", err)
		}
		all = append(all, got...)
	}
	if len(all) == 0 {
		return fmt.Errorf("no layout has the name %s", strings.Join(only, ", "))
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "report.json"), all)
}

// layout generates a log and measures it.
func layout(ctx context.Context, dir string, l *logLayout) ([]figures.Figure, error) {
	file := filepath.Join(dir, l.name+".gz")
	plain, err := generate(file, l)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file) }() // the directory is removed anyway
	zcat, err := reference(ctx, file)
	if err != nil {
		return nil, err
	}
	name := "report." + l.name
	var out []figures.Figure
	for _, step := range []string{"parse", "classify"} {
		got, err := process.Measure(ctx, "measure", step, file)
		if err != nil {
			return nil, err
		}
		if got["lines"] != lineCount {
			return nil, fmt.Errorf("%s read %.0f of %d lines", step, got["lines"], lineCount)
		}
		out = append(out,
			figures.Figure{Name: name + "." + step + ".lines", Value: lineCount / got["cpu"], Unit: "1/s"},
			figures.Figure{Name: name + "." + step + ".rate", Value: float64(plain) / 1e6 / got["cpu"], Unit: "MB/s"},
			figures.Figure{Name: name + "." + step + ".without_gunzip", Value: float64(plain) / 1e6 / (got["cpu"] - got["gunzip"]), Unit: "MB/s"},
			figures.Figure{Name: name + "." + step + ".zcat_ratio", Value: got["cpu"] / zcat.Seconds(), Unit: "1"},
			figures.Figure{Name: name + "." + step + ".peak", Value: got["peak"], Unit: "MiB"})
	}
	return append(out, figures.Figure{Name: name + ".line", Value: float64(plain) / lineCount, Unit: "B"}), nil
}

// reference returns the CPU time of zcat FILE | wc -l.
func reference(ctx context.Context, file string) (time.Duration, error) {
	cmd := process.Command(ctx, "sh", "-c", `zcat "$1" | wc -l`, "sh", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	if n, err := strconv.Atoi(string(bytes.TrimSpace(out))); err != nil || n < lineCount {
		return 0, fmt.Errorf("wc counts %s lines: %w", out, err)
	}
	return cpu(cmd), nil
}

// cpu returns what a program and its children took.
func cpu(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
