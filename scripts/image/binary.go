package main

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
)

var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// readBinary reads a program. It refuses a program that cannot run in an image without anything else: one for another
// platform, or one that needs a dynamic linker.
func readBinary(dir, platform, name string) ([]byte, error) {
	path := filepath.Join(dir, platform, name)
	want, known := machines[platform]
	if !known {
		return nil, fmt.Errorf("platform %q: want linux/amd64 or linux/arm64", platform)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w (make image builds it)", err)
	}
	program, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s is no program for Linux: %w", path, err)
	}
	defer func() { _ = program.Close() }() // it was only read, so an error does not matter
	if program.Machine != want {
		return nil, fmt.Errorf("%s is for %v, not for %s", path, program.Machine, platform)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s needs a dynamic linker, which no image has: build it with CGO_ENABLED=0",
				path)
		}
	}
	return data, nil
}
