//go:build manual

package main

import (
	"os"

	"ociproxy/internal/cli"
	"ociproxy/internal/cli/manual"
)

// Built with the tag manual, the program writes its manual page and completions into a directory and ends. The
// program that is released links nothing for that.
func init() {
	os.Exit(manual.Main(command(os.Stdout, os.Stderr, new(cli.Format)), os.Args[1:], os.Getenv, os.Stderr))
}
