package ranges

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// The values of Renewed.State.
const (
	Added     = "new"       // there was no copy that a server could use
	Changed   = "changed"   // the copy was replaced
	Unchanged = "unchanged" // the source has the same content as the copy; only the date is new
	Failed    = "failed"    // see Renewed.Error; the old copy stays
)

// Renewed is the result for one feed.
type Renewed struct {
	Feed    string    `json:"feed"`
	Source  string    `json:"source"` // URL or file
	State   string    `json:"state"`
	File    string    `json:"file,omitempty"`         // its name in the directory
	Fetched time.Time `json:"fetched,omitzero"`       // of the copy that is there now, or would be after a dry run
	Before  time.Time `json:"before,omitzero"`        // of the copy that was there before
	Rows    int       `json:"prefixes"`               // how many the server uses
	Unknown int       `json:"unplaced"`               // how many of them have a region that is not on the map
	Error   string    `json:"error,omitempty"`        // why it failed
	Guarded bool      `json:"tooDifferent,omitempty"` // a guard refused it: too different from the copy
}

// RenewOptions are what [Renew] takes besides the config. All fields may be zero.
type RenewOptions struct {
	Client  *http.Client  // default http.DefaultClient
	Timeout time.Duration // for each attempt to fetch a feed; default fetch.DefaultTimeout
	DryRun  bool          // fetch and check, and write nothing
	// Done is called for each feed when it is done, one call at a time.
	Done func(Renewed)
}

// Renew fetches every feed of cfg, all at once, into a directory that can be cfg.Seed. It checks each feed as the
// server does, also against the copy that is there. When a feed fails, its copy stays, and the other feeds go on. Files
// are replaced atomically. The result has all feeds in the order of the config. An error means that cfg does not fit
// the map, or that the directory cannot be used.
func Renew(ctx context.Context, cfg config.Ranges, m *place.Map, dir string, opts RenewOptions) ([]Renewed, error) {
	cfg.Cache, cfg.Seed = "", ""
	feeds, err := newFeeds(cfg, m, Options{Client: opts.Client, Timeout: opts.Timeout})
	if err != nil {
		return nil, err
	}
	if !opts.DryRun {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		atomicfile.SweepFor(filepath.Join(dir, RecordFile))
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	r := &renewal{seed: openSeed(dir), dry: opts.DryRun}
	results := make([]Renewed, len(feeds))
	var wg sync.WaitGroup
	for i, f := range feeds {
		wg.Go(func() {
			results[i] = r.feed(ctx, f)
			if opts.Done != nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				opts.Done(results[i])
			}
		})
	}
	wg.Wait()
	return results, nil
}

// renewal is one run of Renew.
type renewal struct {
	seed seed
	dry  bool

	mu sync.Mutex // guards seed.record while the feeds are fetched
}

func (r *renewal) feed(ctx context.Context, f *feed) Renewed {
	old, oldErr := r.read(f)
	out := Renewed{Feed: f.name, Source: told(f.source), File: old.file, Before: old.fetched.UTC(), State: Failed}
	if oldErr == nil {
		f.adopt(old.parsed, "seed", old.fetched) // the guards compare with this copy
	}
	_, err := ask(ctx, f)
	if err == nil {
		out.File = cmp.Or(old.file, f.format.file(f.name))
		out.State, out.Fetched, err = r.keep(f, old, out.File)
	}
	now := f.report(time.Now())
	out.Rows, out.Unknown = now.Rows, now.Unknown
	if err != nil {
		out.State, out.Error, out.Fetched = Failed, err.Error(), out.Before
		_, out.Guarded = errors.AsType[differs](err)
	}
	return out
}

// read reads the copy that is there. A file that no server could use counts as no copy, but read still returns its
// name.
func (r *renewal) read(f *feed) (seeded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, err := r.seed.read(f)
	if err != nil {
		return seeded{file: old.file}, err
	}
	return old, nil
}

// keep writes what was fetched, unless the copy has the same content. It writes the date in both cases. In a dry run it
// writes nothing.
func (r *renewal) keep(f *feed, old seeded, file string) (state string, fetched time.Time, err error) {
	body, fetched := f.current().body, f.report(time.Now()).LastGood.UTC().Truncate(time.Second)
	sum := digest(body)
	state = Added
	switch {
	case old.parsed != nil && digest(old.parsed.body) == sum:
		state = Unchanged
		if old.fetched.After(fetched) { // the feed is a file that was copied before
			fetched = old.fetched.UTC()
		}
	case old.parsed != nil:
		state = Changed
	}
	if r.dry {
		return state, fetched, nil
	}
	path := filepath.Join(r.seed.dir, file)
	if state != Unchanged {
		atomicfile.SweepFor(path)
		if err := atomicfile.Write(path, body, 0o644); err != nil {
			return "", time.Time{}, err
		}
	}
	// For programs that do not read the record: the age of a file is its modification time.
	if err := os.Chtimes(path, fetched, fetched); err != nil {
		return "", time.Time{}, err
	}
	is := recorded{Feed: f.name, File: file, Source: told(f.source), Fetched: fetched, SHA256: sum}
	return state, fetched, r.note(is)
}

// told returns a source without the parts that may be a credential, and of a file only the name without the directory.
// The result goes into a record in public images. Such an image must not depend on the machine that makes it.
func told(source string) string {
	u, err := url.Parse(source)
	if err != nil || u.Host == "" {
		return filepath.Base(source)
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// note sets one entry of the record and writes the record. It drops the entries of files that do not exist any more.
func (r *renewal) note(is recorded) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seed.record[is.File] = is
	var doc record
	for file, known := range r.seed.record {
		if _, err := os.Stat(filepath.Join(r.seed.dir, file)); !errors.Is(err, fs.ErrNotExist) {
			doc.Feeds = append(doc.Feeds, known)
		}
	}
	slices.SortFunc(doc.Feeds, func(a, b recorded) int { return cmp.Compare(a.File, b.File) })
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(r.seed.dir, RecordFile), append(text, '\n'), 0o644)
}
