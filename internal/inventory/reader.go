package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ociproxy/internal/fetch"
)

// Store is one store whose inventory is read.
type Store struct {
	ID  string // what its head must say; the store's name in the configuration
	URL string // of the inventory, ending in "/"
	// Index is the store's place in the sets of a table, 0 to 255. Only a [Follower] uses it.
	Index int
	// Refresh is how often the head is asked for; default 60 s.
	Refresh time.Duration
	// StaleAfter is the age of a head at which it is no longer believed; default 24 h.
	StaleAfter time.Duration
}

// Defaults of a [Store].
const (
	DefaultRefresh    = time.Minute
	DefaultStaleAfter = 24 * time.Hour
)

func (s Store) withDefaults() Store {
	if s.Refresh <= 0 {
		s.Refresh = DefaultRefresh
	}
	if s.StaleAfter <= 0 {
		s.StaleAfter = DefaultStaleAfter
	}
	return s
}

// headTimeout bounds the request for a head.
const headTimeout = 10 * time.Second

// Reader keeps the last good inventory of one store: a head all of whose segments are in the cache. It is safe for
// concurrent use; refreshes are made one after the other.
type Reader struct {
	store    Store
	segments *Segments
	fetcher  *fetch.Fetcher
	file     string // last good head on disk; "": none
	now      func() time.Time

	turn sync.Mutex // held for a refresh

	mu      sync.Mutex
	built   []SegmentRef // those a table has already
	head    *Head        // last good; nil: none
	gone    bool
	checked time.Time
	err     error
	since   time.Time // of err
}

// Options of a [Reader] and a [Follower].
type Options struct {
	// Dir is where last good heads and segments, and the table's file, lie. "" keeps everything in memory.
	Dir string
	// MaxCacheBytes bounds the segments in Dir; default [DefaultCacheBytes].
	MaxCacheBytes int64
	// Client makes the requests. nil means [http.DefaultClient].
	Client *http.Client
	// Logger gets a line for each change of a store's state; nil logs nothing.
	Logger *slog.Logger
	// Now tells the time; default [time.Now].
	Now func() time.Time
}

func (o Options) clock() func() time.Time {
	if o.Now != nil {
		return o.Now
	}
	return time.Now
}

// NewReader makes a reader of one store over a cache. It touches neither network nor disk.
func NewReader(store Store, segments *Segments, opt Options) *Reader {
	r := &Reader{store: store.withDefaults(), segments: segments, now: opt.clock()}
	if opt.Dir != "" {
		r.file = filepath.Join(opt.Dir, "head", "h-"+url.PathEscape(store.ID)+".json")
	}
	// The copy on disk is ours to keep: it must not name segments that are not there yet.
	r.fetcher = fetch.New(fetch.Source{
		URL: store.URL + HeadName, Timeout: headTimeout, MaxBytes: MaxHeadBytes, Client: opt.Client,
		Accept: "application/json",
		Validate: func(body []byte) error {
			_, err := r.parse(body)
			return err
		},
	})
	return r
}

// configure changes how often the store is asked and how long its head is believed.
func (r *Reader) configure(s Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store.Refresh, r.store.StaleAfter = s.withDefaults().Refresh, s.withDefaults().StaleAfter
}

// interval is how often the store is asked.
func (r *Reader) interval() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.Refresh
}

// ErrForeign says that a head is another store's: a bucket was replicated or a URL is wrong.
var ErrForeign = errors.New("the inventory of another store")

// ErrOlder says that a head is older than the one already read: a bucket was restored, or a cache is in between.
var ErrOlder = errors.New("older than the one already read")

func (r *Reader) parse(body []byte) (*Head, error) {
	h, err := ParseHead(body)
	if err != nil {
		return nil, err
	}
	if h.Store != r.store.ID {
		return nil, fmt.Errorf("%w: it says %.80q, expected %q", ErrForeign, h.Store, r.store.ID)
	}
	return h, nil
}

// Load takes the last good inventory from disk, without asking the store. Anything missing or damaged is an error.
func (r *Reader) Load() error {
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.file == "" {
		return os.ErrNotExist
	}
	saved, err := readSaved(r.file)
	if err != nil {
		return err
	}
	h, err := r.parse(saved.Head)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.file, err)
	}
	for _, ref := range h.Segments {
		if !r.segments.has(ref) {
			return fmt.Errorf("read %s: segment %s is missing or damaged", r.file, ref.SHA256)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head, r.gone, r.checked = h, saved.Gone, saved.Checked
	return nil
}

// Refresh asks the store for its newest inventory. changed says that [Reader.Head] lists other segments than before.
// On an error the last good inventory stays; the status has the error too.
func (r *Reader) Refresh(ctx context.Context) (changed bool, err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	next, err := r.ask(ctx)
	if next != nil {
		changed, err = r.take(ctx, next)
	}
	return changed, err
}

// ask makes the conditional request. A nil head without an error means: as it was. A head is for take.
func (r *Reader) ask(ctx context.Context) (_ *Head, err error) {
	defer func() { r.note(err) }()
	body, changed, err := r.fetcher.Get(ctx)
	if err != nil {
		if s, ok := errors.AsType[*fetch.StatusError](err); ok && (s.Code == http.StatusNotFound || s.Code == http.StatusForbidden) {
			err = errors.Join(err, r.save(r.Head(), true))
		}
		return nil, err
	}
	if !changed {
		return nil, r.save(r.Head(), false)
	}
	h, err := r.parse(body)
	if err == nil {
		err = r.newer(h)
	}
	if err != nil {
		r.fetcher.Discard() // it would answer 304 from now on
		return nil, err
	}
	return h, nil
}

// newer refuses a head whose generation is lower than the one believed. One that is not believed any more has nothing to protect: a
// bucket that was made anew may start again, if what it says is fresh.
func (r *Reader) newer(h *Head) error {
	last := r.Head()
	if last == nil || h.Generation >= last.Generation {
		return nil
	}
	if r.State() != Current && h.WrittenAt.After(last.WrittenAt) && h.age(r.now()) <= r.staleAfter() {
		return nil
	}
	return fmt.Errorf("get %s%s: %w: generation %d, had %d", r.store.URL, HeadName, ErrOlder, h.Generation, last.Generation)
}

func (r *Reader) staleAfter() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.StaleAfter
}

// take makes h the last good head once all of its segments are there.
func (r *Reader) take(ctx context.Context, h *Head) (changed bool, err error) {
	defer func() { r.note(err) }()
	need := h.Segments
	if built := r.builtSegments(); r.segments.dir == "" && isPrefix(built, need) {
		need = need[len(built):] // without a disk nothing is kept that a table has
	}
	for _, ref := range need {
		if err := r.segments.fetch(ctx, r.store.URL, ref); err != nil {
			r.fetcher.Discard()
			return false, err
		}
	}
	last := r.Head()
	return last == nil || !sameSegments(last.Segments, h.Segments), r.save(h, false)
}

// save sets what is known, and keeps it on disk; the error is only about the disk.
func (r *Reader) save(h *Head, gone bool) error {
	r.mu.Lock()
	now := r.now()
	if !gone {
		r.checked = now
	}
	unchanged := r.head == h && r.gone == gone
	r.head, r.gone = h, gone
	checked := r.checked
	r.mu.Unlock()
	// Writing every minute that nothing happened is not worth it.
	if r.file == "" || h == nil || unchanged {
		return nil
	}
	body, err := h.encode()
	if err == nil {
		err = writeSaved(r.file, saved{Gone: gone, Checked: checked, Head: body})
	}
	if err != nil {
		return fmt.Errorf("keep last good inventory: %w", err)
	}
	return nil
}

func (r *Reader) builtSegments() []SegmentRef {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.built
}

// setBuilt notes which segments a table has; nil: none.
func (r *Reader) setBuilt(segments []SegmentRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.built = segments
}

// refetch makes the next refresh fetch everything that is not in the cache, though the head has not changed.
func (r *Reader) refetch() { r.fetcher.Discard() }

func (r *Reader) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.err == nil {
		r.since = r.now()
	}
	if r.err = err; err == nil {
		r.since = time.Time{}
	}
}

// Head returns the last good head; nil when there is none. Do not change it.
func (r *Reader) Head() *Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// State says whether the inventory counts now.
func (r *Reader) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.gone:
		return Gone
	case r.head == nil:
		return Loading
	case r.head.age(r.now()) > r.store.StaleAfter:
		return Stale
	default:
		return Current
	}
}

// Status describes the inventory; Held is left to who has a table.
func (r *Reader) Status() Status {
	s := Status{Store: r.store.ID, State: r.State()}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Checked, s.LastError, s.ErrorSince = r.checked, r.err, r.since
	if h := r.head; h != nil {
		s.Generation, s.WrittenAt, s.Segments, s.Bytes = h.Generation, h.WrittenAt, len(h.Segments), h.bytes()
	}
	return s
}

func sameSegments(a, b []SegmentRef) bool {
	if len(a) != len(b) {
		return false
	}
	return isPrefix(a, b)
}

// isPrefix reports whether b begins with a.
func isPrefix(a, b []SegmentRef) bool {
	if len(a) > len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
