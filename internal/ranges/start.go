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

// start loads what is on this machine. For a local feed, it reads the file. Otherwise it takes the copy that previous
// had in use (previous is the same feed before a reload; nil: none), or, without one, the copy on disk. If the seed
// is newer than that copy, start uses the seed. The age of a seed is its modification time.
func (f *feed) start(seedDir string, previous *feed) {
	taken := previous != nil && f.takeOver(previous)
	if f.local() {
		_, _ = f.get(context.Background()) // the outcome is in the status
		if f.current() != nil {
			return
		}
	}
	f.asking.Lock()
	defer f.asking.Unlock()
	var cacheErr error
	if !taken {
		var checked time.Time
		if _, checked, cacheErr = f.fetcher.Load(); cacheErr == nil {
			f.adopt(f.pending, "cache", checked)
		}
		f.pending = nil
	}
	seed, seeded, seedErr := f.readSeed(seedDir)
	if seed != nil && (f.current() == nil || seeded.After(f.report(seeded).LastGood)) {
		f.fetcher.Discard()
		f.adopt(seed, "seed", seeded)
	}
	f.lacksSeed(seedDir != "" && errors.Is(seedErr, fs.ErrNotExist) && !f.local())
	for _, err := range []error{cacheErr, seedErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.record(err, false)
		}
	}
}

// takeOver puts in use the copy that the same feed had in use before a reload, with its age, validators and failures.
// It parses the copy again, because the map may have changed. If that fails, the status says why and nothing is taken
// over.
func (f *feed) takeOver(previous *feed) bool {
	previous.mu.Lock()
	good, known, status := previous.good, previous.known, previous.status
	previous.mu.Unlock()
	if good == nil {
		return false
	}
	p, err := f.parse(good.body)
	if err != nil {
		f.record(fmt.Errorf("read the copy in use again: %w", err), false)
		return false
	}
	unkept := f.fetcher.Resume(known, good.body)
	f.mu.Lock()
	defer f.mu.Unlock()
	status.Name = f.name // its number may have changed
	f.status = status
	f.use(p)
	if unkept != nil && f.status.LastError == "" {
		f.status.LastError = unkept.Error()
	}
	return true
}

func (f *feed) lacksSeed(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.NoSeed = yes
}

// readSeed reads the feed's file in the seed directory, such as aws, aws.json or linode.csv. If there is no such
// file, the error is fs.ErrNotExist.
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
