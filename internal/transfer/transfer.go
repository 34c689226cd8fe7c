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

// Blob is what is brought into stores.
type Blob struct {
	Digest     oci.Digest // sha256 or sha512
	Size       int64      // in bytes, known beforehand
	Repository string     // where the source has it
	// Into says where in a sink it goes, by target, for sinks that have several places; nil for others.
	Into map[int]string
}

// Source is where blobs come from. It is called from several goroutines.
type Source interface {
	// Open reads a blob from offset off to its end; the caller closes it. Reading fails soon after ctx has ended. An
	// error that wraps [ErrGone] or [ErrRefused] is final; after any other, and when the reading breaks off, it is
	// asked again a few times, from where it ended.
	Open(ctx context.Context, b Blob, off int64) (io.ReadCloser, error)
}

// Target is one store that blobs are brought to. It is known by its index in [Options.Targets].
type Target struct {
	Name string // for messages
	Sink Sink
	// Group names the targets that copy from each other, if their sinks can: those of one cloud. "" is none.
	Group string
}

// Options of [New]. Zero values of numbers mean the default.
type Options struct {
	Source  Source
	Targets []Target // at most 256

	// Dir is where the spool lies. Processes may share it: each takes a folder of its own below it.
	Dir string
	// SpoolBytes bounds what lies in the spool; default 20 GiB. A blob larger than this cannot be brought anywhere.
	SpoolBytes int64
	// MemoryBytes bounds what is kept in memory, which are blobs of at most 1 MiB; default 64 MiB. When it is used up, they lie in the
	// spool like the others.
	MemoryBytes int64
	small       int64 // smallBlob, less in tests

	Parallel         int // downloads at once; default 16
	UploadsPerTarget int // uploads and copies at once to one target; default 8
	// Open bounds the blobs in work in all; default 16 384, each with some kilobytes of memory beside its content. Of these 16 × Parallel
	// may be on their way from the source or to targets that keep up; the others wait for who lags behind.
	Open int

	// CopyWithinGroup sends a blob once to each group, which copies it further.
	CopyWithinGroup bool

	// Stall is the time in which a source must send [pace.Window] bytes, or what is missing, before it is asked again; default
	// 1 min. A target may stand still for five times as long, for stores take their time with the end of a large upload.
	Stall time.Duration
	// Grace is how long a target may hold space that others wait for; default 30 s.
	Grace time.Duration
	// Tries bounds how often a source or a target is asked for one blob without success; default 4.
	Tries int
	// Trip is how many failures in a row put a target aside: those of the kind that concerns a whole bucket, and, of other kinds, as many as
	// make all tries for this number of blobs; default 5.
	Trip int

	// Observe is told what happens; nil ignores it. It is called from several goroutines and must not block.
	Observe func(Event)
}

// How a target came to hold a blob.
type How uint8

// The ways.
const (
	Uploaded     How = iota + 1 // sent from the spool
	Copied                      // from another target of its group
	AlreadyThere                // and found to be right, for clients too
	Repaired                    // something wrong lay there, or something that clients do not get as it is, and was replaced
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

// Result is what became of one blob in one target. Without an error the blob is durable there and was compared with its digest.
type Result struct {
	Target int
	// Repository is where the source was, or would have been, asked for it: that of whoever came first with the blob.
	Repository string
	How        How
	Attrs      store.Attrs
	Err        error
}

// SizeError says that a blob has another size than the caller said. It is an [ErrCorrupt], and about the reference:
// the blob may be well.
type SizeError struct {
	Said, Is int64 // Is -1: that is not known
}

// Error implements error.
func (e *SizeError) Error() string {
	if e.Is < 0 {
		return fmt.Sprintf("the manifest says %d bytes", e.Said)
	}
	return fmt.Sprintf("%d bytes, the manifest says %d", e.Is, e.Said)
}

// Unwrap makes it an [ErrCorrupt].
func (e *SizeError) Unwrap() error { return ErrCorrupt }

// PlaceError is for a [Sink] with several places ([Item.Into]) to say that one of them does not take what it is asked to, and will
// not a second later: it is not asked again, and nothing is said of the others.
type PlaceError struct{ Err error }

// Error implements error.
func (e *PlaceError) Error() string { return e.Err.Error() }

// Unwrap returns what the place answered.
func (e *PlaceError) Unwrap() error { return e.Err }

// OfSource says that a blob did not come into a target because the source did not give it by the reference that it was
// asked for.
func OfSource(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrGone) || errors.Is(err, ErrRefused) || errors.Is(err, ErrSource)
}

// What a result's error may wrap, beside the errors of buckets and of contexts.
var (
	// ErrGone is for a [Source] to say that it does not have a blob, and will not have it a second later.
	ErrGone = errors.New("the source does not have the blob")
	// ErrRefused is for a [Source] to say that it does not give a blob to us, and will not a second later.
	ErrRefused = errors.New("the source does not give the blob")
	// ErrCorrupt: what the source has is not what the digest and the size say. Nothing of it was made visible anywhere.
	ErrCorrupt = errors.New("the source's bytes do not match the digest")
	// ErrSource: the source could not be read to its end; it may next time.
	ErrSource = errors.New("the source cannot be read")
	// ErrBehind: the target was slower than others, and what waited for it had used up the spool. The next pass repairs it.
	ErrBehind = errors.New("the target fell behind the others")
	// ErrTripped: the target failed too often in a row, and is left alone until [Engine.Reset].
	ErrTripped = errors.New("the target is put aside")
	// ErrSpace: the spool has no room: the disk is full, or the blob is larger than the whole spool may be.
	ErrSpace = errors.New("no space in the spool")
	// ErrStalled: less than the minimum pace moved, or nothing at all.
	ErrStalled = errors.New("too little moved for too long")
	// ErrUnverified: what lies in the target is wrong, and could not be replaced.
	ErrUnverified = errors.New("the target holds wrong bytes")
	// ErrVain is for a look as a stranger ([ToBucket]) to add to [store.ErrHidden]: the blob was written again lately, and that did not help.
	ErrVain = errors.New("writing it again did not help")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("the engine is closed")
)
