package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", "../..", "the module's root")
	flag.Parse()
	files, err := generate(*root)
	if err == nil {
		for name, body := range files {
			if err = os.WriteFile(filepath.Join(*root, name), body, 0o644); err != nil {
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// generate returns the files by their names below the root.
func generate(root string) (map[string][]byte, error) {
	c, err := readComments(filepath.Join(root, "internal/config"))
	if err != nil {
		return nil, err
	}
	example, err := os.ReadFile(filepath.Join(root, "examples/minimal.yaml"))
	if err != nil {
		return nil, err
	}
	md, err := reference(c, string(example))
	if err != nil {
		return nil, err
	}
	schema, err := schema(c)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"docs/config.md": md, "docs/config.schema.json": schema}, nil
}
