//go:build manual

package main

import (
	"os"

	"ociproxy/internal/cli"
	"ociproxy/internal/cli/manual"
)

// A build with the tag manual makes the program write its manual page and completions into a directory and end. The
// released program links nothing for that.
func init() {
	os.Exit(manual.Main(command(nil, os.Stdout, os.Stderr, new(cli.Format)), os.Args[1:], os.Getenv, os.Stderr))
}
