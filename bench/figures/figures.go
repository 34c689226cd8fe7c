// Package figures prints what a benchmark measured: `name value unit` lines, and the same as JSON.
package figures

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Figure is one measured number.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Write prints figures to out and writes them to file. It makes the file's directory.
func Write(out io.Writer, file string, figures []Figure) error {
	for _, f := range figures {
		fmt.Fprintf(out, "%s %.3f %s\n", f.Name, f.Value, f.Unit)
	}
	body, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(body, '\n'), 0o644)
}
