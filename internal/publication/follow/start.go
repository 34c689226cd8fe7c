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
	if f.opt.Dir != "" {
		note(f.fromDir(filepath.Join(f.opt.Dir, documentsDir), f.keptContent))
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

// fromDir reads a directory with the layout of a publication. Its documents must have the right signatures. Only a
// directory that has a head and cannot be used is an error.
func (f *Follower) fromDir(dir string, content func(dir string, h *publication.Head) ([]byte, string, error)) error {
	now := time.Now()
	if text, err := readFile(dir, publication.KeysName); err == nil {
		if _, err := f.trust.AcceptKeys(text, now); err != nil && publication.FaultOf(err) != publication.Replayed {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	if text, err := readFile(dir, publication.OverridesName); err == nil {
		_, _ = f.trust.AcceptOverrides(text, now) // an instance can start without
	}
	text, err := readFile(dir, publication.HeadName(f.opt.Ring))
	if errors.Is(err, os.ErrNotExist) && dir != f.opt.Fallback {
		return nil // nothing was kept yet
	}
	if err != nil {
		return err
	}
	h, err := f.trust.OpenHead(f.opt.Ring, text, now)
	if publication.FaultOf(err) == publication.Replayed { // older than what the disk has: better than nothing
		h, err = f.trust.Without(f.opt.Ring).OpenHead(f.opt.Ring, text, now)
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
