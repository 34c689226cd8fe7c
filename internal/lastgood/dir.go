package lastgood

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"ociproxy/internal/atomicfile"
)

// Most is how many copies a directory keeps. An older copy helps after a roll-back: the older program may not know
// something in the newest copy.
const Most = 3

// Dir is a directory of copies. One goroutine of one process writes to it.
//
// The name of a copy is config-NUMBER-HASH.yaml. The number grows with each copy. The hash is the SHA-256 of the
// content, so a cut or changed copy is noticed. The directory may have other files; nothing here touches them.
type Dir string

// Copy is a configuration that worked.
type Copy struct {
	File  string    // its path
	Text  []byte    // the content of the original, byte by byte
	Saved time.Time // when it was written

	number int
	hash   string
}

// ErrDamaged says that the content of a copy is not what was written.
var ErrDamaged = errors.New("the copy is damaged: its content does not have the hash in its name")

var named = regexp.MustCompile(`^config-(\d{6,18})-([0-9a-f]{64})\.yaml$`)

// Keep adds a copy of text. It removes an older copy of the same text, and the oldest copies, so that at most [Most]
// stay. It creates the directory. When the newest copy has this text already, Keep changes nothing. It removes no
// earlier copy before the new one is written.
func (d Dir) Keep(text []byte) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	found, err := d.list()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	add := Copy{number: 1, hash: hex.EncodeToString(sum[:])}
	if len(found) > 0 {
		if found[0].hash == add.hash && found[0].read() == nil {
			return nil
		}
		add.number = found[0].number + 1
	}
	add.File = filepath.Join(string(d), fmt.Sprintf("config-%06d-%s.yaml", add.number, add.hash))
	if err := atomicfile.Write(add.File, text, 0o600); err != nil {
		return err
	}
	left := 1
	for _, c := range found {
		if left < Most && c.hash != add.hash {
			left++
		} else if err := os.Remove(c.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Sweep removes the partial copy that a killed process left.
func (d Dir) Sweep() { atomicfile.SweepTree(string(d)) }

// Copies returns the copies, the newest first. A directory that does not exist has none. Copies leaves out each copy
// that it cannot read or that is damaged. The error joins the errors of those copies; each error names its copy.
func (d Dir) Copies() ([]Copy, error) {
	found, err := d.list()
	if err != nil {
		return nil, err
	}
	var good []Copy
	var faults []error
	for i := range found {
		if err := found[i].read(); err != nil {
			faults = append(faults, err)
			continue
		}
		good = append(good, found[i])
	}
	return good, errors.Join(faults...)
}

// list returns the copies by their names, the newest first.
func (d Dir) list() ([]Copy, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Copy
	for _, e := range entries {
		m := named.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue // Keep did not write this number
		}
		all = append(all, Copy{File: filepath.Join(string(d), e.Name()), number: n, hash: m[2]})
	}
	slices.SortStableFunc(all, func(a, b Copy) int { return b.number - a.number })
	return all, nil
}

// read fills in the content and the time when it was written.
func (c *Copy) read() error {
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != c.hash {
		return fmt.Errorf("%s: %w", c.File, ErrDamaged)
	}
	c.Text, c.Saved = text, info.ModTime()
	return nil
}
