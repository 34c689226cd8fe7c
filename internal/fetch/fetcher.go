package fetch

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Fetcher keeps one document up to date. It is safe for concurrent use; calls run one after the other.
type Fetcher struct {
	src Source

	mu        sync.Mutex
	delivered bool      // the caller has seen the body that meta describes
	meta      meta      // of the last good body; zero when there is none
	stamp     stamp     // of the local file at its last good read
	cacheBad  bool      // a CacheError was returned, and writing has not worked since
	checked   time.Time // when the last good body was last known to be current
}

// New makes a Fetcher. It touches neither network nor disk.
func New(src Source) *Fetcher {
	if src.Timeout <= 0 {
		src.Timeout = DefaultTimeout
	}
	if src.MaxBytes <= 0 {
		src.MaxBytes = DefaultMaxBytes
	}
	return &Fetcher{src: src}
}

// Load returns the last good copy from disk, and when it was last known to be current, without asking the source. It is
// an error when the copy is absent, damaged, made from another source or rejected by Validate. After a nil error, the
// next Get reports only what is newer than this copy.
func (f *Fetcher) Load() (body []byte, checked time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, m, err := f.load()
	if err != nil {
		return nil, time.Time{}, err
	}
	f.take(m, m.Checked)
	return body, m.Checked, nil
}

// Get asks the source. When changed is true, body is the current document, and it is valid. When changed is false, body
// is nil: the body that an earlier Get or Load returned is still the best one.
//
// err and changed are independent. A *CacheError comes with a valid body. When the source fails before any body was
// returned, Get returns the last good copy from disk together with the reason.
func (f *Fetcher) Get(ctx context.Context) (body []byte, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, f.src.Timeout)
	defer cancel()

	var stored []byte // the copy on disk, if the caller has not seen it yet
	have := f.meta
	if !f.delivered {
		if b, m, err := f.load(); err == nil {
			stored, have = b, m
		}
	}
	r, err := f.ask(ctx, have)
	if err == nil && r.body != nil {
		if len(r.body) == 0 {
			err = ErrEmpty
		} else if r.meta.SHA256 == have.SHA256 {
			r.body = stored // the same bytes with new validators; nil when the caller has them
		} else if verr := f.validate(r.body); verr != nil {
			err = &InvalidError{verr}
		} else {
			stored = nil
		}
	} else if err == nil {
		r.body = stored
	}
	if err != nil {
		err = fmt.Errorf("get %s: %w", f.src.from(), err)
		if stored != nil {
			f.take(have, have.Checked)
		}
		return stored, stored != nil, err
	}
	if f.src.File != "" {
		f.stamp = r.stamp
	}
	f.take(r.meta, r.meta.Checked)
	err = f.store(r.meta, r.body, stored != nil || r.body == nil)
	return r.body, r.body != nil, err
}

// Checked returns when the last good body was last known to be current: the time of the last 200 or 304, or the
// modification time of a local file. It is zero when there is none.
func (f *Fetcher) Checked() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checked
}

func (f *Fetcher) take(m meta, checked time.Time) {
	f.delivered, f.meta, f.checked = true, m, checked
}

func (f *Fetcher) validate(body []byte) error {
	if f.src.Validate == nil {
		return nil
	}
	return f.src.Validate(body)
}

// load reads and verifies the copy on disk.
func (f *Fetcher) load() ([]byte, meta, error) {
	if f.src.Cache == "" {
		return nil, meta{}, os.ErrNotExist
	}
	body, m, err := readCopy(f.src.Cache, f.src.MaxBytes)
	if err != nil {
		return nil, meta{}, err
	}
	if m.Key != f.src.key() {
		return nil, meta{}, fmt.Errorf("read %s: a copy of %s", f.src.Cache, m.Key)
	}
	if err := f.validate(body); err != nil {
		return nil, meta{}, fmt.Errorf("read %s: %w", f.src.Cache, err)
	}
	if m.From != f.src.from() {
		m.ETag, m.LastModified = "", "" // validators of another URL
	}
	return body, m, nil
}

// store writes the last good copy. onDisk says that the body itself is already on disk.
func (f *Fetcher) store(m meta, body []byte, onDisk bool) error {
	if f.src.Cache == "" {
		return nil
	}
	var err error
	if onDisk && !f.cacheBad {
		err = writeMeta(f.src.Cache, m)
	} else if body != nil {
		err = writeCopy(f.src.Cache, body, m)
	}
	if err == nil {
		f.cacheBad = f.cacheBad && body == nil
		return nil
	}
	if f.cacheBad {
		return nil
	}
	f.cacheBad = true
	return &CacheError{err}
}

// Discard says that the caller has something better than the copy on disk. The next Get asks unconditionally.
func (f *Fetcher) Discard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(meta{}, time.Time{})
	f.stamp = stamp{}
}

// State is what a Fetcher knows about its last good body besides the body: validators, hash and age. The zero State is
// empty.
type State struct{ meta meta }

// State returns what another Fetcher of the same document needs to continue from here; see Resume.
func (f *Fetcher) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return State{f.meta}
}

// Resume makes f, which must be unused, continue where another Fetcher of the same document stopped. The caller has
// body, and the next Get reports only what is newer. Resume writes body to disk unless it is already there. If that
// fails, the error is a *CacheError, and f has resumed nevertheless. With a zero State, Resume is Discard.
func (f *Fetcher) Resume(s State, body []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(s.meta, s.meta.Checked)
	if s.meta.SHA256 == "" || f.src.Cache == "" {
		return nil
	}
	if _, m, err := readCopy(f.src.Cache, f.src.MaxBytes); err == nil && m.Key == s.meta.Key && m.SHA256 == s.meta.SHA256 {
		return nil
	}
	return f.store(s.meta, body, false)
}
