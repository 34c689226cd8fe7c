package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ociproxy/internal/lastgood"
	"ociproxy/internal/publication"
)

// Start returns what an instance may start on, the best first: what is published, what the disk has, and what the
// fallback has, the newest generation first, and in the end a stale head. It waits for the URL for [Patience] at most.
// The error says what is wrong with the others.
func (f *Follower) Start(ctx context.Context) ([]*Config, error) {
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	f.trust.MaxAge = -1 // the age of what was accepted once does not matter
	kept := filepath.Join(f.opt.Dir, documentsDir)
	if f.opt.Dir != "" {
		note(f.keysOf(kept))
	}
	if f.opt.Fallback != "" {
		note(f.keysOf(f.opt.Fallback))
	}
	// With the newest keys: one of the two may have what the other one's keys revoke.
	if f.opt.Dir != "" {
		err := f.fromDir(kept, f.keptContent)
		f.disowned = publication.FaultOf(err) == publication.Unsigned && f.trust.KeySet() != nil
		note(err)
	}
	if f.opt.Fallback != "" {
		note(f.fromDir(f.opt.Fallback, f.shippedContent))
	}
	f.trust.MaxAge = 0
	some, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	f.Ask(some)
	for _, word := range Documents() {
		note(f.state.Faults[word])
	}
	var all []*Config
	if f.newest != nil {
		all = append(all, f.newest)
	}
	for _, c := range f.start {
		if !slices.ContainsFunc(all, func(b *Config) bool { return b.Generation == c.Generation && b.head.SHA256 == c.head.SHA256 }) {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *Config) int {
		switch {
		case a.Generation > b.Generation:
			return -1
		case a.Generation < b.Generation:
			return 1
		}
		return 0
	})
	return all, errors.Join(faults...)
}

// Stale returns what is published, although it was not signed again for too long; nil when that is not what is wrong.
// Call it after Start, when nothing else can be used.
func (f *Follower) Stale(ctx context.Context) *Config {
	if publication.FaultOf(f.state.Faults[wordHead]) != publication.Stale && publication.FaultOf(f.state.Faults[wordKeys]) != publication.Stale {
		return nil
	}
	trust, now := *f.trust, time.Now()
	trust.MaxAge = -1
	if f.keys.err == nil {
		if _, err := trust.AcceptKeys(f.keys.text, now); err != nil {
			return nil
		}
	}
	h, err := f.openHead(&trust, now)
	if err != nil {
		return nil
	}
	some, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	text, name, err := f.content(some, h)
	if err != nil {
		return nil
	}
	return &Config{Text: text, Name: name, Generation: h.Generation, Stale: true, head: h, envelope: f.head.text, trust: &trust}
}

// Copies reports whether the copies of --last-good may be used, which nobody has signed. They may not when a key that was
// revoked has signed the newest one.
func (f *Follower) Copies() bool { return !f.disowned }

// disown drops what the start has found and a key has signed that is revoked by the set of keys in use. f.mu is held.
func (f *Follower) disown() {
	trust := f.trust.Without(f.opt.Ring)
	trust.MaxAge = -1
	var left []*Config
	for _, c := range f.start {
		if _, err := trust.OpenHead(f.opt.Ring, c.envelope, anyTime); publication.FaultOf(err) == publication.Unsigned {
			f.log.Error("what was kept is not used: the key that signed it is revoked", "source", c.Name, "generation", c.Generation, "error", err.Error())
			f.disowned = true
			continue
		}
		left = append(left, c)
	}
	if len(left) == len(f.start) {
		return
	}
	trust.MaxAge = f.trust.MaxAge
	f.start, f.trust = left, trust
	for _, c := range left {
		if known := trust.Head(f.opt.Ring); known == nil || known.Generation < c.Generation {
			trust.Adopt(c.head)
		}
	}
}

// anyTime stands for the present when documents of the disk are read. They may be older, or newer when the clock is
// behind: the instance must start all the same.
var anyTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// keysOf reads the set of keys in a directory.
func (f *Follower) keysOf(dir string) error {
	text, err := readFile(dir, publication.KeysName)
	if err != nil {
		return nil // there need not be any
	}
	if _, err := f.trust.AcceptKeys(text, anyTime); err != nil && publication.FaultOf(err) != publication.Replayed {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// fromDir reads a directory with the layout of a publication. Its documents must have the right signatures. Only a
// directory that has a head and cannot be used is an error.
func (f *Follower) fromDir(dir string, content func(dir string, h *publication.Head) ([]byte, string, error)) error {
	if text, err := readFile(dir, publication.OverridesName); err == nil {
		_, _ = f.trust.AcceptOverrides(text, anyTime) // an instance can start without
	}
	text, err := readFile(dir, publication.HeadName(f.opt.Ring))
	if errors.Is(err, os.ErrNotExist) && dir != f.opt.Fallback {
		return nil // nothing was kept yet
	}
	if err != nil {
		return err
	}
	h, err := f.trust.OpenHead(f.opt.Ring, text, anyTime)
	if publication.FaultOf(err) == publication.Replayed { // older than what the disk has: better than nothing
		h, err = f.trust.Without(f.opt.Ring).OpenHead(f.opt.Ring, text, anyTime)
	} else if err == nil {
		f.trust.Adopt(h)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	body, name, err := content(dir, h)
	if err == nil {
		err = h.CheckContent(body)
	}
	if err != nil {
		return fmt.Errorf("%s: generation %d: %w", dir, h.Generation, err)
	}
	f.start = append(f.start, &Config{Text: body, Name: name, Generation: h.Generation, head: h, envelope: text})
	return nil
}

// shippedContent reads the content beside its head.
func (f *Follower) shippedContent(dir string, h *publication.Head) ([]byte, string, error) {
	name := publication.ContentName(h.SHA256)
	text, err := readFile(dir, name)
	return text, filepath.Join(dir, name), err
}

// keptContent finds the content among the copies of the configurations that worked.
func (f *Follower) keptContent(_ string, h *publication.Head) ([]byte, string, error) {
	copies, err := lastgood.Dir(f.opt.Dir).Copies()
	for _, c := range copies {
		if h.CheckContent(c.Text) == nil {
			return c.Text, c.File, nil
		}
	}
	if err == nil {
		err = errors.New("no copy has this content")
	}
	return nil, "", err
}

// maxFile is far above any configuration.
const maxFile = 64 << 20

func readFile(dir, name string) ([]byte, error) {
	name = filepath.Join(dir, filepath.FromSlash(name))
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // to open a pipe could wait forever
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return text, err
}
