//go:build manual

package main

import (
	"os"

	"ociproxy/internal/cli/manual"
)

// Built with the tag manual, the program writes its manual pages and completions into a directory and ends. The
// program that is released links nothing for that.
func init() {
	os.Exit(manual.Main((&app{env: os.Getenv}).root(), os.Args[1:], os.Getenv, os.Stderr))
}
