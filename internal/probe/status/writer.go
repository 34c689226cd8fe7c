package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
	"time"

	"ociproxy/internal/probe"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// The objects in the bucket, besides the style and the script of the page.
const (
	DocumentKey = "status.json"
	PageKey     = "index.html"
)

// probePrefix is where the writer tests that the bucket honours conditional writes.
const probePrefix = "status-check/"

// The headers of objects. Caches may keep what changes for half an interval of a usual probe.
var (
	documentHeader = store.Header{ContentType: "application/json", CacheControl: "public, max-age=30"}
	pageHeader     = store.Header{ContentType: "text/html; charset=utf-8", CacheControl: "public, max-age=30"}
)

// Options of [New].
type Options struct {
	Bucket store.Bucket
	// Name is the registry's name, and Vantage is where the probe runs: one entry of the document. Two probes must not
	// share an entry.
	Name, Vantage string
	// Every is the interval of runs.
	Every time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Writer adds the runs of one probe to the public status in a bucket. Several goroutines may call its methods.
type Writer struct {
	opt Options

	writing  sync.Mutex // held during a write, and for prepared
	prepared time.Time  // when the bucket was checked, and had the assets

	mu       sync.Mutex
	pending  []Run // that are not in the bucket yet
	written  time.Time
	failures int64
}

// maxPending is how many runs wait for a bucket that does not answer: a week of one each minute.
const maxPending = 7 * 24 * 60

// staleRuns is how many intervals a run counts, and leastStale the shortest time: people and caches are slow.
const (
	staleRuns  = 3
	leastStale = 5 * time.Minute
)

// New makes a writer. It makes no request.
func New(opt Options) (*Writer, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if !hostForm.MatchString(opt.Name) {
		return nil, fmt.Errorf("%.60q is no name of a registry", opt.Name)
	}
	return &Writer{opt: opt, written: opt.Now()}, CheckVantage(opt.Vantage)
}

// Stale returns for how long a run counts if there is one every interval.
func Stale(every time.Duration) time.Duration { return max(leastStale, staleRuns*every) }

// Objects returns the keys of all objects that a writer writes.
func Objects() []string { return []string{PageKey, DocumentKey, style.Key, script.Key} }

// Entry says what the writer adds to, for people.
func (w *Writer) Entry() string { return w.opt.Name + ", seen from " + w.opt.Vantage }

// IsPage reports whether a text begins as a page of this package does. It needs 512 bytes.
func IsPage(text []byte) bool { return revisionForm.Match(text) }

// Record adds a run that has just ended, and writes. A run that cannot be written is written later, with the next ones.
// One in which pulls failed while the bucket did not answer either says nothing: the probe's own network may be down.
func (w *Writer) Record(ctx context.Context, r *probe.Report) error {
	run := Run{Ended: w.opt.Now(), State: Of(r)}
	w.mu.Lock()
	w.pending = append(w.pending, run)
	w.pending = w.pending[max(0, len(w.pending)-maxPending):]
	w.mu.Unlock()
	err := w.write(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failures++
		if last := len(w.pending) - 1; last >= 0 && run.State == Down && noAnswer(err) {
			w.pending[last].State = Unknown
		}
	}
	return err
}

// noAnswer reports whether an error is that of a network, and not the answer of a store.
func noAnswer(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, context.DeadlineExceeded)
}

func (w *Writer) write(ctx context.Context) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.prepare(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	runs := append([]Run(nil), w.pending...)
	w.mu.Unlock()
	var doc *Document
	var modified time.Time
	err := again(ctx, func() (err error) {
		doc, modified, err = w.putDocument(ctx, runs)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", DocumentKey, err)
	}
	w.mu.Lock()
	w.pending = w.pending[min(len(runs), len(w.pending)):]
	w.mu.Unlock()
	if off := doc.Written.Sub(modified); !modified.IsZero() && off.Abs() > maxAhead {
		return fmt.Errorf("%w by %s: set it by NTP", errClock, off.Round(time.Second))
	}
	if err := again(ctx, func() error { return w.putPage(ctx, doc) }); err != nil {
		return fmt.Errorf("%s: %w", PageKey, err)
	}
	w.mu.Lock()
	w.written = w.opt.Now()
	w.mu.Unlock()
	return nil
}

var errClock = errors.New("the clock of this machine differs from that of the bucket")

// tries is how often a write begins anew because another probe was faster.
const tries = 10

func again(ctx context.Context, write func() error) error {
	for try := 1; ; try++ {
		err := write()
		if err == nil || try == tries || !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
		if stopped := wait.For(ctx, wait.Jitter(wait.Doubled(20*time.Millisecond, try, time.Second))); stopped != nil {
			return errors.Join(stopped, err)
		}
	}
}

// prepare checks the bucket and writes what never changes. It does so once a day, because somebody may remove it.
func (w *Writer) prepare(ctx context.Context) error {
	now := w.opt.Now()
	if !w.prepared.IsZero() && now.Sub(w.prepared).Abs() < day {
		return nil
	}
	if err := w.opt.Bucket.Check(ctx, probePrefix); err != nil {
		return err
	}
	for _, a := range assets {
		if _, err := w.opt.Bucket.Put(ctx, a.Key, store.Bytes(a.text), a.header, ""); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("%s: %w", a.Key, err)
		}
	}
	w.prepared = now
	return nil
}

// putDocument adds runs to the document that is in the bucket.
func (w *Writer) putDocument(ctx context.Context, runs []Run) (doc *Document, modified time.Time, err error) {
	text, version, err := w.read(ctx, DocumentKey, maxDocument+1)
	doc = new(Document)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, modified, err
	default:
		if doc, err = parse(text); err != nil {
			return nil, modified, err
		}
	}
	v, err := doc.vantage(w.opt.Name, w.opt.Vantage)
	if err != nil {
		return nil, modified, err
	}
	now := w.opt.Now()
	v.add(runs, now, Stale(w.opt.Every))
	doc.finish(now)
	if text, err = doc.text(); err != nil {
		return nil, modified, err
	}
	at, err := w.opt.Bucket.Put(ctx, DocumentKey, store.Bytes(text), documentHeader, version)
	return doc, at.Modified, err
}

// read returns the beginning of an object.
func (w *Writer) read(ctx context.Context, key string, most int64) (text []byte, version string, err error) {
	body, at, err := w.opt.Bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = body.Close() }() // it was only read
	text, err = io.ReadAll(io.LimitReader(body, most))
	return text, at.Version, err
}

var errForeign = errors.New("the bucket has a page of somebody else there: give the public status a bucket or prefix of its own")

// putPage writes the page of a document, unless that of a later one is there.
func (w *Writer) putPage(ctx context.Context, doc *Document) error {
	head, version, err := w.read(ctx, PageKey, 512)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		m := revisionForm.FindSubmatch(head)
		if m == nil {
			return errForeign
		}
		there, err := strconv.ParseInt(string(m[1]), 10, 64)
		if err == nil && there >= doc.Revision && there <= doc.Written.Add(maxAhead).UnixMilli() {
			return nil
		}
	}
	text, err := doc.page()
	if err != nil {
		return err
	}
	_, err = w.opt.Bucket.Put(ctx, PageKey, store.Bytes(text), pageHeader, version)
	return err
}

// revisionForm finds the revision at the beginning of a page that this package wrote.
var revisionForm = regexp.MustCompile(`<html [^>]*data-revision="(\d{1,19})"`)
