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

// start loads what is on this machine: a local file itself; else the copy that previous, the same feed before a reload,
// had in use (nil: none), or without one the copy on disk; or the seed, when it is newer than that.
// The age of a seed is its modification time.
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

// takeOver puts the copy in use that the same feed had in use before a reload, with its age, validators and failures.
// It is read again, since the map may be another one now; when that fails the status says why and nothing is taken.
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
