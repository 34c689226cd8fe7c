package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "reader" {
		if err := read(context.Background(), os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "inventory: %v\n", err)
			os.Exit(1) //nolint:forbidigo // this is a main
		}
		return
	}
	os.Exit(process.Run("inventory", run)) //nolint:forbidigo // this is a main
}

// task is one round of measurements in a child process.
type task struct {
	digests  int
	distinct bool
	name     string // suffix of the figures' names
	memory   bool   // also refresh under load; measure memory and look-ups
}

// run measures everything, prints the figures and writes them as JSON.
func run(ctx context.Context, dir string) error {
	var all []figures.Figure
	for _, t := range []task{
		{1_000_000, false, "1m", true},
		{1_000_000, true, "1m_distinct", false},
		{10_000_000, false, "10m", true},
	} {
		f, err := t.measure(ctx, filepath.Join(dir, t.name))
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		all = append(all, f...)
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "inventory.json"), all)
}

// measure serves the task's stores to a child process and returns the child's figures.
func (t task) measure(ctx context.Context, dir string) ([]figures.Figure, error) {
	w, err := publish(ctx, t.digests, t.distinct)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the next task needs the space
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	mode := "build"
	if t.memory {
		mode = "memory"
	}
	cmd := process.Command(ctx, self, "reader", w.url, dir, t.name, mode)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=off", "GOGC=100")
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(errors.New("child"), err)
	}
	var f []figures.Figure
	return f, json.Unmarshal(stdout.Bytes(), &f)
}
