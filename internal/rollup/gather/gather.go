package gather

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/logsource"
	"ociproxy/internal/rollup"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// Options of [Run].
type Options struct {
	Classifier *usage.Classifier
	// Collector gets what counts. It needs a part for each of the Workers. nil: only Each gets it.
	Collector *rollup.Collector
	Workers   int // how many logs are read at once; at least 1
	// Reader makes the reader of a worker; nil: one that finds out the format of each line.
	Reader func() *accesslog.Reader
	// Days are the days of the requests that count; lines of other days are passed. The zero value is all days.
	Days logsource.Days
	// Each, if not nil, sees each line that counts before it is summed, and may change what it counts for. All workers call
	// it at once.
	Each func(*usage.Use, *accesslog.Record) error
	// Progress, if not nil, is updated while the logs are read.
	Progress *Progress
}

// Progress says how far the reading is. All its figures may be read at any time.
type Progress struct {
	Objects, Bytes, Lines atomic.Int64
}

// Result is what became of the lines, besides what the collector has.
type Result struct {
	// Read are the log objects as they were read, with the versions that they had then.
	Read []*logsource.Object
	// Left are the lines that count for nothing, by reason.
	Left usage.Left
	// Faults are the first malformed lines, and log objects that were damaged or cut off.
	Faults []accesslog.Fault
	// Damaged is how many log objects could not be expanded to their end. What came before counts.
	Damaged int64
	// Passed is how many lines counted, but were of other days.
	Passed int64
	// Unsized is how many downloads count as requests without bytes, because their lines do not tell the bytes.
	Unsized int64
	// Alike are the first pairs of logs that begin with the same text: one may be a copy of the other.
	Alike [][2]*logsource.Object
	// Unknown counts the fields of logs that are not known, by name; see [accesslog.Stats].
	Unknown map[string]int64
	// From are the sources of the rows.
	From []traffic.Source
}

// maxFaults is how many faults are kept to be shown.
const maxFaults = 20

// Run reads the log objects. A malformed line and a damaged log are counted, and are no errors. The error is the first
// of a log that could not be read, of the list of objects, or of the disk; then the collector has a part of the lines.
func Run(ctx context.Context, objects iter.Seq2[*logsource.Object, error], opt Options) (*Result, error) {
	if opt.Progress == nil {
		opt.Progress = &Progress{}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan *logsource.Object)
	var workers sync.WaitGroup
	each := make([]*worker, max(opt.Workers, 1))
	seen := &beginnings{seed: maphash.MakeSeed(), first: map[uint64]*logsource.Object{}}
	for i := range each {
		w := &worker{opt: &opt, seen: seen, part: &rollup.Part{}, reader: &accesslog.Reader{}}
		if opt.Collector != nil {
			w.part = opt.Collector.Part(i)
		}
		if opt.Reader != nil {
			w.reader = opt.Reader()
		}
		w.reader.Progress = w.lines
		each[i] = w
		workers.Go(func() {
			for o := range todo {
				if err := w.read(ctx, o); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	hand := func() error {
		defer close(todo)
		for o, err := range objects {
			if err != nil {
				return err
			}
			select {
			case todo <- o:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	err := hand()
	if err != nil {
		cancel(err)
	}
	workers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	r := &Result{Unknown: map[string]int64{}, Alike: seen.alike}
	for _, w := range each {
		w.end()
		r.merge(w)
	}
	return r, err
}

func (r *Result) merge(w *worker) {
	r.Read = append(r.Read, w.result.Read...)
	r.Left.Merge(&w.result.Left)
	r.Faults = append(r.Faults, w.result.Faults...)
	r.Faults = r.Faults[:min(len(r.Faults), maxFaults)]
	r.Damaged += w.result.Damaged
	r.Passed += w.result.Passed
	r.Unsized += w.result.Unsized
	for name, n := range w.reader.Stats().Unknown {
		r.Unknown[name] += n
	}
	for _, s := range w.result.From {
		if !slices.Contains(r.From, s) {
			r.From = append(r.From, s)
		}
	}
}

// worker reads one log after the other.
type worker struct {
	opt    *Options
	seen   *beginnings
	part   *rollup.Part
	reader *accesslog.Reader
	result Result
	shown  int64 // lines that Progress has
	bytes  int64
}

func (w *worker) lines(s *accesslog.Stats) {
	w.opt.Progress.Lines.Add(s.Lines - w.shown)
	w.shown = s.Lines
}

func (w *worker) read(ctx context.Context, o *logsource.Object) error {
	in, as, err := o.Open(ctx, func(n int) {
		w.bytes += int64(n)
		w.opt.Progress.Bytes.Add(int64(n))
	})
	if errors.Is(err, logsource.ErrDamaged) {
		w.damaged(o, err)
		w.done(as)
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	var own error
	text := bufio.NewReaderSize(in, beginning)
	if head, _ := text.Peek(beginning); len(head) == beginning { // the reader meets the error
		w.seen.add(as, head)
	}
	err = w.reader.Read(ctx, o.String(), text, func(rec *accesslog.Record) error {
		own = w.count(rec)
		return own
	})
	switch {
	case own != nil:
		return fmt.Errorf("count the lines of %s: %w", o, own)
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, logsource.ErrDamaged):
		w.damaged(o, err)
	case err != nil:
		return err
	}
	w.done(as)
	return nil
}

const (
	// beginning is how many bytes of two logs are compared: more than the heading of any format, so that some lines are
	// in it. Shorter logs are not compared.
	beginning = 4 << 10
	// maxBeginnings limits how many logs are compared with each other, and maxAlike how many pairs are kept.
	maxBeginnings, maxAlike = 1 << 17, 5
)

// beginnings finds logs that begin alike. It is safe for concurrent use.
type beginnings struct {
	seed  maphash.Seed
	mu    sync.Mutex
	first map[uint64]*logsource.Object
	alike [][2]*logsource.Object
}

func (b *beginnings) add(o *logsource.Object, head []byte) {
	sum := maphash.Bytes(b.seed, head)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch other, ok := b.first[sum]; {
	case ok && len(b.alike) < maxAlike:
		b.alike = append(b.alike, [2]*logsource.Object{other, o})
	case !ok && len(b.first) < maxBeginnings:
		b.first[sum] = o
	}
}

func (w *worker) done(o *logsource.Object) {
	w.result.Read = append(w.result.Read, o)
	w.opt.Progress.Objects.Add(1)
}

// count counts one line. The error is that of the disk, or of Options.Each.
func (w *worker) count(rec *accesslog.Record) error {
	use, ok := w.opt.Classifier.Count(rec, &w.result.Left)
	if !ok {
		return nil
	}
	if !w.opt.Days.Has(use.Day) {
		w.result.Passed++
		return nil
	}
	if w.opt.Each != nil {
		if err := w.opt.Each(&use, rec); err != nil {
			return err
		}
	}
	if use.Unsized {
		w.result.Unsized++
	}
	if !slices.Contains(w.result.From, use.Source) {
		w.result.From = append(w.result.From, use.Source)
	}
	if w.opt.Collector == nil {
		return nil
	}
	req := rollup.Request{Key: &use.Key, Count: use.Requests, Bytes: use.Bytes, ID: use.RequestID, At: rec.Time}
	if use.Operation == traffic.Get && (use.Class == traffic.Client || use.Class == traffic.Endpoint) {
		req.Digest = use.Digest
	}
	return w.part.Add(&req)
}

func (w *worker) damaged(o *logsource.Object, err error) {
	w.result.Damaged++
	if len(w.result.Faults) < maxFaults {
		w.result.Faults = append(w.result.Faults, accesslog.Fault{File: o.String(), Err: err.Error()})
	}
}

// end puts what the reader counted to the counts of the part.
func (w *worker) end() {
	s := w.reader.Stats()
	w.lines(s)
	c := &w.part.Counts
	c.LogObjects += int64(len(w.result.Read))
	c.Bytes += w.bytes
	c.Lines += s.Lines
	c.Malformed += s.Malformed
	c.Other += s.Other
	for _, l := range w.result.Left.List() {
		c.Leave(string(l.Reason), l.Lines)
	}
	w.result.Faults = append(w.result.Faults, s.Faults...)
}
