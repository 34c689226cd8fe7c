package fetch

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ociproxy/internal/atomicfile"
)

// meta describes the last good body: where it came from, how to ask whether it is still current, and its hash, which
// ties it to the file beside it.
type meta struct {
	Key          string    `json:"key"`
	From         string    `json:"from"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"lastModified,omitempty"`
	SHA256       string    `json:"sha256"`
	Checked      time.Time `json:"checked"`
}

func (m meta) validators() bool { return m.ETag != "" || m.LastModified != "" }

// metaLimit is far above the size of any URL with validators.
const metaLimit = 64 << 10

func metaPath(cache string) string { return cache + ".meta" }

// readCopy reads a copy and its meta. Both must exist, and the hash must match. After a crash between the two writes,
// or with a damaged disk, the copy counts as absent.
func readCopy(cache string, limit int64) ([]byte, meta, error) {
	raw, err := readFile(metaPath(cache), metaLimit)
	if err != nil {
		return nil, meta{}, err
	}
	var m meta
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, meta{}, fmt.Errorf("read %s: %w", metaPath(cache), err)
	}
	body, err := readFile(cache, limit)
	if err != nil {
		return nil, meta{}, err
	}
	if sum(body) != m.SHA256 {
		return nil, meta{}, fmt.Errorf("read %s: damaged: hash differs from the one beside it", cache)
	}
	return body, m, nil
}

// writeCopy writes body and meta, each atomically, and the body first.
func writeCopy(cache string, body []byte, m meta) error {
	if err := writeAtomic(cache, body); err != nil {
		return err
	}
	return writeMeta(cache, m)
}

func writeMeta(cache string, m meta) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeAtomic(metaPath(cache), append(raw, '\n'))
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := readAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return body, nil
}

// writeAtomic makes name hold data, or leaves it unchanged. Only the owner can read the file. Missing directories are
// created.
func writeAtomic(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(name, data, 0o600)
}
