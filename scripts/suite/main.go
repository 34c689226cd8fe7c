package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"ociproxy/bench/process"
)

// commands are called with a temporary directory and their arguments.
var commands = map[string]func(ctx context.Context, dir string, args []string) error{
	"flaky": flaky,
	"fuzz":  fuzz,
	"test":  test,
}

func main() {
	name := "help"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if name == "spin" {
		spinForever()
	}
	command := commands[name]
	if command == nil {
		fmt.Fprintln(os.Stderr, "usage: suite flaky|fuzz|test [FLAG…] [ARGUMENT…]")
		os.Exit(2) //nolint:forbidigo // this is a main
	}
	// Test what is released, with the same build tags.
	if err := os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -tags="+process.Tags)); err != nil {
		fmt.Fprintf(os.Stderr, "suite: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
	code := process.Run(name, func(ctx context.Context, dir string) error {
		err := command(ctx, dir, os.Args[2:])
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	})
	os.Exit(code) //nolint:forbidigo // this is a main
}
