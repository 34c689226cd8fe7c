package ranges

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// start loads what is on this machine. For a local feed, it reads the file. Otherwise it takes the copy that previous
// had in use (previous is the same feed before a reload; nil: none), or, without one, the copy on disk. If the seed
// is newer than that copy, start uses the seed. The age of a seed is what its record says, or its modification time.
func (f *feed) start(s seed, previous *feed) {
	kept, seedErr := s.read(f)
	defer f.noteSeed(kept, s.dir != "" && errors.Is(seedErr, fs.ErrNotExist) && !f.local())
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
	if kept.parsed != nil && (f.current() == nil || kept.fetched.After(f.report(kept.fetched).LastGood)) {
		f.fetcher.Discard()
		f.adopt(kept.parsed, "seed", kept.fetched)
	}
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

// noteSeed notes what the seed directory has of the feed.
func (f *feed) noteSeed(kept seeded, missing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.NoSeed, f.status.Seed = missing, time.Time{}
	if kept.parsed != nil {
		f.status.Seed = kept.fetched
	}
}
