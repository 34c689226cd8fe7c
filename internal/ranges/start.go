package ranges

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// start loads what is on this machine: a local file itself; else the copy on disk or the seed, whichever is newer.
// The age of a seed is its modification time.
func (f *feed) start(seedDir string) {
	if f.local() {
		f.get(context.Background()) // the outcome is in the status
		if f.current() != nil {
			return
		}
	}
	f.asking.Lock()
	defer f.asking.Unlock()
	_, checked, cacheErr := f.fetcher.Load()
	cached := f.pending
	if cacheErr != nil {
		cached = nil
	}
	seed, seeded, seedErr := f.readSeed(seedDir)
	switch {
	case cached != nil && (seed == nil || !seeded.After(checked)):
		f.adopt(cached, "cache", checked)
	case seed != nil:
		f.fetcher.Discard()
		f.adopt(seed, "seed", seeded)
	}
	for _, err := range []error{cacheErr, seedErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.record(err, false)
		}
	}
}

// readSeed reads the feed's file in the seed directory: aws, aws.json, linode.csv.
// Without such a file the error is fs.ErrNotExist.
func (f *feed) readSeed(dir string) (*parsed, time.Time, error) {
	if dir == "" {
		return nil, time.Time{}, fs.ErrNotExist
	}
	for _, suffix := range []string{"", ".json", ".csv"} {
		name := filepath.Join(dir, f.name+suffix)
		body, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, time.Time{}, err
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, time.Time{}, err
		}
		p, err := f.parse(body)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read %s: %w", name, err)
		}
		return p, info.ModTime(), nil
	}
	return nil, time.Time{}, fs.ErrNotExist
}
