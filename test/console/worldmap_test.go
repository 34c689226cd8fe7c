package console

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ociproxy/test/parts"
)

// TestSlowWorldMap checks that the map of the console is what scripts/worldmap makes from its source.
func TestSlowWorldMap(t *testing.T) {
	parts.Slow(t)
	source := filepath.Join(parts.Source(t, "world-atlas"), "node_modules", "world-atlas", "land-110m.json")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./scripts/worldmap", source)
	cmd.Dir = parts.Root()
	made, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join(parts.Root(), "internal", "console", "page", "world.path"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Errorf("internal/console/page/world.path (%d bytes) is not what scripts/worldmap makes (%d bytes)", len(committed), len(made))
	}
}
