package inventory

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/strictjson"
)

// saved is the last good head on disk.
type saved struct {
	URL     string          `json:"url"` // of the inventory
	Gone    bool            `json:"gone"`
	Checked time.Time       `json:"checked"`
	Head    json.RawMessage `json:"head"`
}

func readSaved(name string) (s saved, err error) {
	f, err := os.Open(name)
	if err != nil {
		return s, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, 2*MaxHeadBytes))
	if err == nil {
		err = strictjson.UnmarshalClosed(body, &s, strictjson.Bounds{Bytes: 2 * MaxHeadBytes})
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", name, err)
	}
	return s, nil
}

// writeSaved replaces the complete file or nothing.
func writeSaved(name string, s saved) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(name, body, 0o600)
}
