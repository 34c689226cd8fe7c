package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ociproxy/bench/process"
)

// pkg is a package with tests.
type pkg struct {
	ImportPath   string
	Dir          string
	TestGoFiles  []string
	XTestGoFiles []string
}

// tests returns the package's test files.
func (p pkg) tests() []string { return append(append([]string{}, p.TestGoFiles...), p.XTestGoFiles...) }

// name returns a short name that can be used as a file name.
func (p pkg) name() string {
	return strings.ReplaceAll(strings.TrimPrefix(p.ImportPath, "ociproxy/"), "/", "-")
}

// packages lists the packages that match patterns and have tests. dir is the directory of a module.
func packages(ctx context.Context, dir string, patterns ...string) ([]pkg, error) {
	cmd := process.Command(ctx, "go", append([]string{"list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles"}, patterns...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", strings.Join(patterns, " "), err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if len(p.tests()) > 0 {
			all = append(all, p)
		}
	}
}

// compile makes the test binary of a package in dir and returns its path.
func (p pkg) compile(ctx context.Context, dir string, flags ...string) (string, error) {
	file := filepath.Join(dir, p.name()+".test")
	cmd := process.Command(ctx, "go", append(append([]string{"test", "-c", "-o", file}, flags...), ".")...)
	cmd.Dir = p.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s: %w\n%s", p.ImportPath, err, out)
	}
	return file, nil
}
