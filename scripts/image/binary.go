package main

import (
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// binary is a program for one platform.
type binary struct {
	data     []byte
	revision string    // the commit; "" when unknown
	at       time.Time // of the commit
}

var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// readBinary reads a program and refuses one that cannot run in an image without anything else: for another platform, or one that
// needs a dynamic linker.
func readBinary(dir, platform, name string) (b binary, err error) {
	path := filepath.Join(dir, platform, name)
	want, known := machines[platform]
	if !known {
		return b, fmt.Errorf("platform %q: want linux/amd64 or linux/arm64", platform)
	}
	if b.data, err = os.ReadFile(path); err != nil {
		return b, fmt.Errorf("%w (make image builds it)", err)
	}
	program, err := elf.Open(path)
	if err != nil {
		return b, fmt.Errorf("%s is no program for Linux: %w", path, err)
	}
	defer program.Close()
	if program.Machine != want {
		return b, fmt.Errorf("%s is for %v, not for %s", path, program.Machine, platform)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return b, fmt.Errorf("%s needs a dynamic linker, which the image lacks: build it with CGO_ENABLED=0", path)
		}
	}
	return b, b.commit(path)
}

// commit reads from the program which commit it was built from. SOURCE_DATE_EPOCH sets the time where it is unknown.
func (b *binary) commit(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b.revision = set["vcs.revision"]
	if b.revision != "" && set["vcs.modified"] == "true" {
		b.revision += "+dirty"
	}
	if at := set["vcs.time"]; at != "" {
		b.at, err = time.Parse(time.RFC3339, at)
		return err
	}
	seconds, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64)
	b.at = time.Unix(seconds, 0).UTC()
	return err
}
