package fetch

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Fetcher follows one document. It is safe for concurrent use; calls are made one after the other.
type Fetcher struct {
	src Source

	mu        sync.Mutex
	delivered bool      // the caller has seen the body that meta describes
	meta      meta      // of the last good body; zero: none
	stamp     stamp     // of the local file at its last good read
	cacheBad  bool      // a CacheError was returned and writing has not worked since
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

// Load returns the last good copy from disk and when it was last known to be current, without asking the source.
// A copy that is absent, damaged, made from another source or rejected by Validate is an error.
// After a nil error the next Get reports only what is newer than this copy.
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

// Get asks the source. When changed is true, body is the document as it now is, and it is good.
// When changed is false, body is nil: what an earlier Get or Load returned is still the best there is.
//
// err and changed are independent: a *CacheError comes with a good body, and when the source fails
// before any body was ever returned, the last good copy from disk comes together with the reason.
func (f *Fetcher) Get(ctx context.Context) (body []byte, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, f.src.Timeout)
	defer cancel()

	var stored []byte // the copy on disk, when the caller has not seen it yet
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
			r.body = stored // same bytes under new validators; nil when the caller has them
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

// Checked is when the last good body was last known to be current: the time of the last 200 or 304,
// or the modification time of a local file. Zero when there is none.
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

// store writes the last good copy; onDisk says that the body itself lies there already.
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

// Discard tells that the caller has something better than the copy on disk: the next Get asks unconditionally.
func (f *Fetcher) Discard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(meta{}, time.Time{})
	f.stamp = stamp{}
}

// State is what a Fetcher knows of its last good body besides the body: validators, hash and age. The zero State knows
// nothing.
type State struct{ meta meta }

// State returns what another Fetcher of the same document needs to go on from here; see Resume.
func (f *Fetcher) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return State{f.meta}
}

// Resume makes f, which has not been used, go on where another Fetcher of the same document stopped: the caller has body,
// and the next Get reports only what is newer. A copy of body is kept on disk unless it lies there already; that this
// did not work is a *CacheError, and f has resumed all the same. With a zero State it is Discard.
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
