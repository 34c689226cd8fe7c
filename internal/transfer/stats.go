package transfer

import (
	"errors"
	"sync/atomic"
)

// Event is something that an operator may want to read in a log.
type Event struct {
	Kind   EventKind
	Blob   Blob
	Target int   // -1: no target is concerned
	Bytes  int64 // the offset at which a download continues; the size of a leftover
	Err    error // the cause, if there is one
}

// EventKind says what happened.
type EventKind string

// The events.
const (
	Began     EventKind = "began"     // a download began
	Continued EventKind = "continued" // a download continues where it broke off, or where an earlier process left it
	Refetched EventKind = "refetched" // content that came in pieces did not match; all of it is read again
	Fetched   EventKind = "fetched"   // a download is complete and matches its digest
	Finished  EventKind = "finished"  // a target holds the blob
	Failed    EventKind = "failed"    // a target does not hold the blob
	Fallback  EventKind = "fallback"  // a copy was not possible or not right; the bytes are sent instead
	Suspect   EventKind = "suspect"   // a target holds a wrong object under the blob's key
	Tripped   EventKind = "tripped"   // a target is put aside
	Full      EventKind = "full"      // the spool's disk is full; less is admitted for a while
)

// Stats is what an engine has done since it was made, and what it is doing.
type Stats struct {
	SourceBytes int64 // read from the source
	SourceOpens int64 // requests to the source
	Resumed     int64 // bytes that an earlier process left in the spool, and that were not read again
	Blobs       int64 // distinct blobs downloaded completely

	Open     int   // blobs in work
	Fetching int   // downloads running
	Disk     int64 // bytes of the spool in use on disk
	Memory   int64 // bytes in use in memory

	Targets []TargetStats
}

// TargetStats is the part of [Stats] for one target.
type TargetStats struct {
	Uploaded  int64 // bytes of blobs that are durable
	Copied    int64 // the same, for the cloud's own copies
	ReadBack  int64 // bytes read to compare them
	Sending   int64 // bytes handed to uploads that still run
	Blobs     int64 // durable blobs, with those already there
	There     int64 // of these, already there
	Failed    int64
	Behind    int64 // of these, because the target fell behind
	Queued    int   // blobs that wait for the target
	Running   int
	TrippedBy error // why it is put aside; nil: it is not
}

// counters are the numbers behind [Stats] that change without the engine's lock.
type counters struct {
	sourceBytes, sourceOpens, resumed, blobs atomic.Int64
}

// targetCounters are the counters of one target.
type targetCounters struct {
	uploaded, copied, readBack, blobs, there, failed, behind atomic.Int64
}

// count records a result.
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
