// Ledger measures what a mirror's pass costs before it moves anything: it compares a source that lists a million blobs
// with what thirty stores say they hold.
//
// The stores are directories. Each lists the million blobs, except a random half of every fiftieth blob. The child
// reads the inventories (heads and segments) from the buckets, as a pass does. It is a process of its own so that its
// memory is that of the pass alone.
//
//	mirror.diff_1m.seconds           from nothing to the answer: read the inventories and look up every digest
//	mirror.diff_1m.open_seconds      the part of it that reads the inventories
//	mirror.diff_1m.peak_mib          the highest resident memory, with pages of the table's file
//	mirror.diff_1m.anonymous_mib     the part of it, at the end, that the system cannot take back
//	mirror.diff_1m.requests          requests to all stores together
//	mirror.diff_1m_again.*           the next pass, which finds the segments on disk
//	mirror.diff_1m_distinct.*        no two stores share a segment, as after compactions at different times
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "pass" {
		if err := pass(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "ledger: %v\n", err)
			os.Exit(1) //nolint:forbidigo // this is a main
		}
		return
	}
	os.Exit(process.Run("ledger", run)) //nolint:forbidigo // this is a main
}

// run measures everything, prints the figures and writes them as JSON.
func run(ctx context.Context, dir string) error {
	var all []figures.Figure
	for _, t := range []struct {
		name     string
		distinct bool
	}{{"mirror.diff_1m", false}, {"mirror.diff_1m_distinct", true}} {
		f, err := measure(ctx, filepath.Join(dir, t.name), t.name, t.distinct)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		all = append(all, f...)
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "ledger.json"), all)
}

// measure fills the stores and lets a child process compare, twice.
func measure(ctx context.Context, dir, name string, distinct bool) (all []figures.Figure, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the next measurement needs the space
	if err := fill(ctx, dir, distinct); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, suffix := range []string{"", "_again"} {
		cmd := process.Command(ctx, self, "pass", dir, name+suffix)
		cmd.Env = append(os.Environ(), "GOMEMLIMIT=off", "GOGC=100")
		var stdout bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("child: %w", err)
		}
		var f []figures.Figure
		if err := json.Unmarshal(stdout.Bytes(), &f); err != nil {
			return nil, err
		}
		all = append(all, f...)
	}
	return all, nil
}
