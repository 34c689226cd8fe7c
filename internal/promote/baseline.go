package promote

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"ociproxy/internal/oci"
)

// ErrBaseline says that a line of a baseline is not a digest.
var ErrBaseline = errors.New("expected a digest")

// LostDigests reads a baseline for [Options.Lost]: one digest per line, comments after #. file "" is an empty baseline.
// The error names file and line. It wraps [ErrBaseline] if a line is not a digest.
func LostDigests(file string) (map[oci.Digest]bool, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read lost digests: %w", err)
	}
	defer f.Close()
	out := map[oci.Digest]bool{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		d, err := oci.ParseDigest(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w, found %q", file, n, ErrBaseline, text)
		}
		out[d] = true
	}
	return out, lines.Err()
}
