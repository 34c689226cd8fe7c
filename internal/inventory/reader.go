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

// Reader keeps the last good inventory of one store: a head whose segments are all in the cache. It is safe for
// concurrent use; refreshes run one after the other.
type Reader struct {
	store    Store
	segments *Segments
	site     Origin
	records  int64 // how many the inventory may list
	fetcher  *fetch.Fetcher
	file     string // the last good head on disk; "": none
	now      func() time.Time

	turn sync.Mutex // held during a refresh

	mu      sync.Mutex
	built   *Head // the newest head whose segments a table has; nil: none
	head    *Head // last good; nil: none
	wanted  *Head // the head whose segments were fetched last
	content uint64
	gone    bool
	checked time.Time
	reading fault // why the last refresh did not bring the newest inventory
	lagging fault // why a table does not have what head lists
}

// Options of a [Reader] and a [Follower].
type Options struct {
	// Dir is the directory of the last good heads, the segments, and the table's file. "" keeps everything in memory.
	Dir string
	// MaxCacheBytes bounds the segments in Dir; default [DefaultCacheBytes].
	MaxCacheBytes int64
	// MaxStoreRecords bounds the records that one store's inventory may list; default [DefaultStoreRecords].
	MaxStoreRecords int64
	// MaxDigests bounds the digests in a follower's table; default [DefaultDigests]. A store whose update would
	// exceed it keeps its last good inventory.
	MaxDigests int64
	// Client makes the requests. nil means [http.DefaultClient].
	Client *http.Client
	// Logger gets a line for each change of a store's state; nil logs nothing.
	Logger *slog.Logger
	// Now returns the time; default [time.Now].
	Now func() time.Time
}

// The defaults for what may be listed are far more than public registries have; a digest takes some 42 bytes in the
// table. When one store lists all it may, as many digests of the other stores still fit.
const (
	DefaultStoreRecords = 25_000_000
	DefaultDigests      = 2 * DefaultStoreRecords
)

// AllRecords is an [Options.MaxStoreRecords] without a bound beyond the format's, for tools that read one list on
// request.
const AllRecords = MaxSegments * maxCount

func (o Options) maxStoreRecords() int64 {
	if o.MaxStoreRecords > 0 {
		return o.MaxStoreRecords
	}
	return DefaultStoreRecords
}

func (o Options) maxDigests() int64 {
	if o.MaxDigests > 0 {
		return o.MaxDigests
	}
	return DefaultDigests
}

func (o Options) clock() func() time.Time {
	if o.Now != nil {
		return o.Now
	}
	return time.Now
}

// NewReader makes a reader of one store over a cache. It uses neither network nor disk.
func NewReader(store Store, segments *Segments, opt Options) *Reader {
	r := &Reader{store: store.withDefaults(), segments: segments, records: opt.maxStoreRecords(), now: opt.clock()}
	r.site = newMetered(site{segments.client, store.URL}, hourly(r.records), r.now)
	if opt.Dir != "" {
		r.file = filepath.Join(opt.Dir, "head", "h-"+url.PathEscape(store.ID)+".json")
	}
	// The reader itself keeps the copy on disk: it must not name segments that are not there yet.
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

// interval returns how often the store is asked.
func (r *Reader) interval() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.Refresh
}

// ErrForeign says that a head belongs to another store: a bucket was replicated or a URL is wrong.
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
	return h, h.CheckTime(r.now())
}

// Load reads the last good inventory from disk, without asking the store. It returns an error when anything is
// missing or damaged.
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
	if saved.URL != r.store.URL { // the store has moved: another bucket's inventory does not apply
		return fmt.Errorf("read %s: it is of another URL", r.file)
	}
	if err := r.bounded(h); err != nil {
		return fmt.Errorf("read %s: %w", r.file, err)
	}
	held := r.segments.Hold()
	defer held.Release() // after that, the head keeps them
	for _, ref := range h.blobs() {
		if !held.has(ref) {
			return fmt.Errorf("read %s: segment %s is missing or damaged", r.file, ref.SHA256)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone, r.checked = saved.Gone, saved.Checked
	if now := r.now(); r.checked.After(now) {
		r.checked = now
	}
	r.setHead(h)
	return nil
}

// Refresh asks the store for its newest inventory. changed says that [Reader.Head] lists other segments than before.
// On an error the last good inventory stays; the status has the error too.
func (r *Reader) Refresh(ctx context.Context) (changed bool, err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	next, err := r.ask(ctx)
	if next != nil {
		held := r.segments.Hold()
		defer held.Release()
		changed, err = r.take(ctx, next, held)
	}
	return changed, err
}

// ask makes the conditional request. A nil head without an error means no change. Pass a head to take.
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
		last := r.Head()
		err := r.save(last, false)
		if last != nil { // after a clock has jumped back, the head may not be fresh
			err = errors.Join(err, last.CheckTime(r.now()))
		}
		return nil, err
	}
	h, err := r.parse(body)
	if err == nil {
		err = r.newer(h)
	}
	if err != nil {
		r.fetcher.Discard() // otherwise it would answer 304 from now on
		return nil, err
	}
	return h, nil
}

// newer refuses a head that is older than the one known.
func (r *Reader) newer(h *Head) error {
	last := r.Head()
	if last == nil || !h.older(last, r.State() == Current, r.now()) {
		return nil
	}
	return fmt.Errorf("get %s%s: %w: generation %d, had %d", r.store.URL, HeadName, ErrOlder, h.Generation, last.Generation)
}

// take makes h the last good head once all of its segments are there. held keeps them until the caller has built a
// table.
func (r *Reader) take(ctx context.Context, h *Head, held *Hold) (changed bool, err error) {
	defer func() { r.note(err) }()
	if err := r.bounded(h); err != nil {
		r.fetcher.Discard()
		return false, err
	}
	r.want(h)
	need := h.blobs()
	if built := r.builtSegments(); !r.segments.onDisk() && isPrefix(built, need) {
		need = need[len(built):] // without a disk, segments that are in a table are not kept
	}
	for _, ref := range need {
		if err := held.Fetch(ctx, r.site, ref); err != nil {
			r.fetcher.Discard()
			return false, err
		}
	}
	last := r.Head()
	return last == nil || !sameSegments(last.blobs(), h.blobs()), r.save(h, false)
}

// ErrTooMany says that inventories list more than is allowed. The last good state stays.
var ErrTooMany = errors.New("too many records")

// bounded refuses a head that lists more than a store may, before anything of it is fetched.
func (r *Reader) bounded(h *Head) error {
	if n := h.records(); n > r.records {
		return fmt.Errorf("%w: the inventory lists %d, allowed are %d of one store: find out who wrote them, or raise limits.storeRecords",
			ErrTooMany, n, r.records)
	}
	return nil
}

// want records the head whose segments are about to be fetched. Segments that arrive stay on disk for the next try.
func (r *Reader) want(h *Head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = h
}

// needs reports whether the reader has a use for a segment.
func (r *Reader) needs(sha256 string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head != nil && r.head.Has(sha256) || r.wanted != nil && r.wanted.Has(sha256)
}

// save sets what is known, and keeps it on disk; the error is only about the disk.
func (r *Reader) save(h *Head, gone bool) error {
	r.mu.Lock()
	now := r.now()
	if !gone {
		r.checked = now
	}
	unchanged := r.head == h && r.gone == gone
	r.gone = gone
	r.setHead(h)
	checked := r.checked
	r.mu.Unlock()
	// Do not write every minute if nothing has changed.
	if r.file == "" || h == nil || unchanged {
		return nil
	}
	body, err := h.Encode()
	if err == nil {
		err = writeSaved(r.file, saved{URL: r.store.URL, Gone: gone, Checked: checked, Head: body})
	}
	if err != nil {
		return fmt.Errorf("keep last good inventory: %w", err)
	}
	return nil
}

// setHead changes the last good head. r.mu is held.
func (r *Reader) setHead(h *Head) {
	if r.head == h {
		return
	}
	r.head, r.content = h, h.content()
	if h != nil && r.built != nil && sameSegments(r.built.blobs(), h.blobs()) {
		r.built = h // rewritten without changes: a table has it already
	}
}

// builtSegments returns the segments that a table has; nil: there is no table.
func (r *Reader) builtSegments() []SegmentRef {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.built == nil {
		return nil
	}
	return r.built.blobs()
}

// setBuilt records that a table has what h lists.
func (r *Reader) setBuilt(h *Head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.built = h
	if r.head != nil && sameSegments(h.blobs(), r.head.blobs()) {
		r.built = r.head // read meanwhile
	}
}

// setLagging records why a table does not have what the head lists; nil: it has.
func (r *Reader) setLagging(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lagging.set(err, r.now())
}

// builtState returns the state of what a table has of the inventory. A head that cannot be brought into the table
// does not renew that state: the age of the head in the table decides, as it does when the newest head cannot be
// read.
func (r *Reader) builtState() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stateOf(r.built)
}

// refetch makes the next refresh fetch everything that is not in the cache, though the head has not changed.
func (r *Reader) refetch() { r.fetcher.Discard() }

func (r *Reader) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading.set(err, r.now())
}

// fault is an error and since when there is one.
type fault struct {
	err   error
	since time.Time
}

func (f *fault) set(err error, now time.Time) {
	if err == nil {
		*f = fault{}
		return
	}
	if f.err == nil {
		f.since = now
	}
	f.err = err
}

// Head returns the last good head; nil when there is none. Do not change it.
func (r *Reader) Head() *Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// State returns whether the inventory counts now.
func (r *Reader) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stateOf(r.head)
}

// stateOf returns the state if h is the known head. r.mu is held.
func (r *Reader) stateOf(h *Head) State {
	switch {
	case r.gone:
		return Gone
	case h == nil:
		return Loading
	case h.age(r.now()) > r.store.StaleAfter:
		return Stale
	default:
		return Current
	}
}

// Status describes the inventory. The owner of a table fills in Held, and how far the table is behind.
func (r *Reader) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Store: r.store.ID, State: r.stateOf(r.head), Content: r.content, Checked: r.checked}
	s.LastError, s.ErrorSince = r.reading.err, r.reading.since
	if l := r.lagging; l.err != nil {
		if s.LastError == nil || l.since.Before(s.ErrorSince) {
			s.ErrorSince = l.since
		}
		s.LastError = errors.Join(s.LastError, l.err)
	}
	if h := r.head; h != nil {
		s.Generation, s.WrittenAt, s.Segments, s.Bytes = h.Generation, h.WrittenAt, len(h.blobs()), h.bytes()
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
