package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// Blob is content to bring to stores.
type Blob struct {
	Digest     oci.Digest // sha256 or sha512
	Size       int64      // in bytes, known beforehand
	Repository string     // where the source has it
	// Into says where in a sink the blob belongs, by target, for sinks with several places; nil for others.
	Into map[int]string
}

// Source is where blobs come from. It is called from several goroutines.
type Source interface {
	// Open reads a blob from offset off to its end; the caller closes it. Reads fail soon after ctx has ended. An error
	// that wraps [ErrGone] or [ErrRefused] is final. After any other error, and when a read breaks off, the engine asks
	// again a few times, from where it ended.
	Open(ctx context.Context, b Blob, off int64) (io.ReadCloser, error)
}

// Target is one store to which blobs are brought. Its index in [Options.Targets] identifies it.
type Target struct {
	Name string // for messages
	Sink Sink
	// Group names targets that copy from each other, if their sinks can: the targets of one cloud. "": none.
	Group string
}

// Options of [New]. Zero values of numbers mean the default.
type Options struct {
	Source  Source
	Targets []Target // at most 256

	// Dir is where the spool is. Processes may share it: each takes its own folder below it.
	Dir string
	// SpoolBytes bounds the content of the spool; default 20 GiB. A blob larger than this cannot be transferred.
	SpoolBytes int64
	// MemoryBytes bounds the blobs that are kept in memory, each of at most 1 MiB; default 64 MiB. When it is used up,
	// further blobs go to the spool on disk.
	MemoryBytes int64
	small       int64 // smallBlob, less in tests

	Parallel         int // downloads at once; default 16
	UploadsPerTarget int // uploads and copies at once to one target; default 8
	// Open bounds the blobs in work in all; default 16 384, each with some kilobytes of memory beside its content. Of
	// these 16 × Parallel may be on their way from the source or to targets that keep up; the others wait for targets
	// that lag behind.
	Open int

	// CopyWithinGroup sends a blob once to each group, which then copies it among its targets.
	CopyWithinGroup bool

	// Stall is the time in which a source must send [pace.Window] bytes, or what is missing, before the engine asks
	// it again; default 1 min. A target may stand still for five times as long, because stores take a while to
	// complete a large upload.
	Stall time.Duration
	// Grace is how long a target may hold space that others wait for; default 30 s.
	Grace time.Duration
	// Tries bounds how often a source or a target is asked for one blob without success; default 4.
	Tries int
	// Trip is how many failures in a row put a target aside; default 5. It counts failures that concern a whole
	// bucket. Of other kinds, it counts as many as use up all tries for this number of blobs.
	Trip int

	// Observe receives events; nil ignores them. It is called from several goroutines and must not block.
	Observe func(Event)
}

// How says how a target came to hold a blob.
type How uint8

// The ways.
const (
	Uploaded     How = iota + 1 // sent from the spool
	Copied                      // from another target of its group
	AlreadyThere                // found there, and right for clients too
	Repaired                    // replaced a wrong object, or one that clients do not get unchanged
)

func (h How) String() string {
	switch h {
	case Uploaded:
		return "uploaded"
	case Copied:
		return "copied"
	case AlreadyThere:
		return "already there"
	case Repaired:
		return "repaired"
	}
	return "not there"
}

// Result is the outcome for one blob in one target. Without an error the blob is durable there and was compared with
// its digest.
type Result struct {
	Target int
	// Repository is where the source was, or would have been, asked for it: the repository of the first caller for
	// the blob.
	Repository string
	How        How
	Attrs      store.Attrs
	Err        error
}

// SizeError says that a blob has another size than the caller said. It is an [ErrCorrupt], and concerns the
// reference: the blob itself may be good.
type SizeError struct {
	Said, Is int64 // Is -1: unknown
}

// Error implements error.
func (e *SizeError) Error() string {
	if e.Is < 0 {
		return fmt.Sprintf("the manifest says %d bytes", e.Said)
	}
	return fmt.Sprintf("%d bytes, the manifest says %d", e.Is, e.Said)
}

// Unwrap returns [ErrCorrupt].
func (e *SizeError) Unwrap() error { return ErrCorrupt }

// PlaceError is for a [Sink] with several places ([Item.Into]). It says that one of them refuses the request, and
// would still refuse it a second later. The engine does not ask it again, and draws no conclusion about the other
// places.
type PlaceError struct{ Err error }

// Error implements error.
func (e *PlaceError) Error() string { return e.Err.Error() }

// Unwrap returns what the place answered.
func (e *PlaceError) Unwrap() error { return e.Err }

// OfSource reports whether a blob did not reach a target because the source did not deliver it by the requested
// reference.
func OfSource(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrGone) || errors.Is(err, ErrRefused) || errors.Is(err, ErrSource)
}

// These are the errors that a result's error may wrap, beside the errors of buckets and of contexts.
var (
	// ErrGone is for a [Source]: it does not have the blob, and would still not have it a second later.
	ErrGone = errors.New("the source does not have the blob")
	// ErrRefused is for a [Source]: it does not give us the blob, and would still refuse a second later.
	ErrRefused = errors.New("the source does not give the blob")
	// ErrCorrupt: the source's content does not match the digest and the size. None of it was made visible anywhere.
	ErrCorrupt = errors.New("the source's bytes do not match the digest")
	// ErrSource: the source could not be read to its end; the next try may succeed.
	ErrSource = errors.New("the source cannot be read")
	// ErrBehind: the target was slower than others, and what waited for it had used up the spool. The next pass
	// repairs it.
	ErrBehind = errors.New("the target fell behind the others")
	// ErrTripped: the target failed too often in a row. The engine leaves it alone until [Engine.Reset].
	ErrTripped = errors.New("the target is put aside")
	// ErrSpace: the spool has no room: the disk is full, or the blob is larger than the spool may be.
	ErrSpace = errors.New("no space in the spool")
	// ErrStalled: data moved more slowly than the minimum pace, or not at all.
	ErrStalled = errors.New("too little moved for too long")
	// ErrUnverified: the target holds a wrong object, which could not be replaced.
	ErrUnverified = errors.New("the target holds wrong bytes")
	// ErrStillHidden is for a look as an anonymous client ([ToBucket]) to add to [store.ErrHidden]: the blob was recently
	// written again, and that did not help.
	ErrStillHidden = errors.New("writing it again did not help")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("the engine is closed")
)
