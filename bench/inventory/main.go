package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"ociproxy/bench/figures"
)

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "reader" {
		err = read(context.Background(), os.Args[2:], os.Stdout)
	} else {
		err = run(context.Background(), filepath.Join("bench", "out", "inventory.json"), os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "inventory: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// task is one round of measurements in a child process.
type task struct {
	digests  int
	distinct bool
	name     string // suffix of the figures' names
	memory   bool   // also refresh under load, measure memory and look-ups
}

// run measures everything, prints the figures and writes them to file as JSON.
func run(ctx context.Context, file string, out io.Writer) error {
	var all []figures.Figure
	for _, t := range []task{
		{1_000_000, false, "1m", true},
		{1_000_000, true, "1m_distinct", false},
		{10_000_000, false, "10m", true},
	} {
		f, err := t.measure(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		all = append(all, f...)
	}
	return figures.Write(out, file, all)
}

// measure serves the task's stores to a child and returns what it measured.
func (t task) measure(ctx context.Context) ([]figures.Figure, error) {
	w, err := publish(ctx, t.digests, t.distinct)
	if err != nil {
		return nil, err
	}
	defer w.close()
	dir, err := os.MkdirTemp("", "bench-inventory-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // below the system's temporary directory
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	mode := "build"
	if t.memory {
		mode = "memory"
	}
	cmd := exec.CommandContext(ctx, self, "reader", w.url, dir, t.name, mode)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=off", "GOGC=100")
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(errors.New("child"), err)
	}
	var f []figures.Figure
	return f, json.Unmarshal(stdout.Bytes(), &f)
}
