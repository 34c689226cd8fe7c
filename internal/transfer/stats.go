package transfer

import (
	"errors"
	"sync/atomic"
)

// Event is something that an operator may want to read in a log.
type Event struct {
	Kind   EventKind
	Blob   Blob
	Target int   // -1 where no target is concerned
	Bytes  int64 // at which offset a download continues; how long a leftover was
	Err    error // the cause, where there is one
}

// EventKind says what happened.
type EventKind string

// The events.
const (
	Began     EventKind = "began"     // a download began
	Continued EventKind = "continued" // a download goes on where it was cut, or where an earlier process left it
	Refetched EventKind = "refetched" // what came in pieces did not match; it is read again as a whole
	Fetched   EventKind = "fetched"   // a download is complete and matches
	Finished  EventKind = "finished"  // a target holds the blob
	Failed    EventKind = "failed"    // a target does not
	Fallback  EventKind = "fallback"  // a copy was not possible or not right; the bytes are sent instead
	Suspect   EventKind = "suspect"   // a target holds something wrong under the blob's key
	Tripped   EventKind = "tripped"   // a target is put aside
	Full      EventKind = "full"      // the disk of the spool is full; less is admitted for a while
)

// Stats is what an engine did since it was made, and what it is doing.
type Stats struct {
	SourceBytes int64 // read from the source
	SourceOpens int64 // requests to the source
	Resumed     int64 // bytes found in the spool of an earlier process, and not read again
	Blobs       int64 // distinct blobs downloaded whole

	Open     int   // blobs in work
	Fetching int   // downloads running
	Disk     int64 // bytes of the spool on disk that are taken
	Memory   int64 // and in memory

	Targets []TargetStats
}

// TargetStats is the part of one target.
type TargetStats struct {
	Uploaded  int64 // bytes of blobs that are durable
	Copied    int64 // the same, by the cloud's own copy
	ReadBack  int64 // bytes read to compare them
	Sending   int64 // bytes handed to uploads that still run
	Blobs     int64 // blobs that are durable, already there included
	There     int64 // of these already there
	Failed    int64
	Behind    int64 // of these because it fell behind
	Queued    int   // blobs that wait for it
	Running   int
	TrippedBy error // why it is put aside; nil while it is not
}

// counters are the numbers behind [Stats] that change without the engine's lock.
type counters struct {
	sourceBytes, sourceOpens, resumed, blobs atomic.Int64
}

// targetCounters are those of one target.
type targetCounters struct {
	uploaded, copied, readBack, blobs, there, failed, behind atomic.Int64
}

// count notes a result.
func (t *targetCounters) count(b Blob, r Result) {
	switch {
	case r.Err != nil:
		t.failed.Add(1)
		if errors.Is(r.Err, ErrBehind) {
			t.behind.Add(1)
		}
		return
	case r.How == AlreadyThere:
		t.there.Add(1)
	case r.How == Copied:
		t.copied.Add(b.Size)
	default:
		t.uploaded.Add(b.Size)
	}
	t.blobs.Add(1)
}

// Stats returns a snapshot.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Stats{
		SourceBytes: e.sourceBytes.Load(), SourceOpens: e.sourceOpens.Load(), Resumed: e.resumed.Load(), Blobs: e.blobs.Load(),
		Open: len(e.work), Fetching: int(e.fetching.Load()), Disk: e.disk.used, Memory: e.memory.used,
	}
	for _, t := range e.targets {
		ts := TargetStats{
			Uploaded: t.uploaded.Load(), Copied: t.copied.Load(), ReadBack: t.readBack.Load(),
			Blobs: t.blobs.Load(), There: t.there.Load(), Failed: t.failed.Load(), Behind: t.behind.Load(),
			Queued: len(t.queue), Running: len(t.running), TrippedBy: t.tripped,
		}
		for d := range t.running {
			ts.Sending += d.pulse.reached.Load()
		}
		s.Targets = append(s.Targets, ts)
	}
	return s
}
