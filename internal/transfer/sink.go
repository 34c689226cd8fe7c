package transfer

import (
	"context"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// Sink takes blobs: a bucket, or a registry. What it says to have is durable and was compared with the
// digest. Its methods may be called from several goroutines, and end soon after ctx.
type Sink interface {
	// Look finds out whether the blob is there already, and right.
	Look(ctx context.Context, it Item) (Found, error)
	// Put sends the blob, over the wrong one that Look found, if any. The content may still arrive
	// meanwhile. When something came in the way, Put looks at that.
	Put(ctx context.Context, it Item, c store.Content) (Found, error)
}

// Copier is a [Sink] that can have a blob from another one without the bytes passing here.
type Copier interface {
	Sink
	// CopiesFrom reports whether CopyFrom may work.
	CopiesFrom(from Sink) bool
	// CopyFrom copies the blob and compares the copy. at is what from is known to have; the zero value:
	// it has to be asked. An error that wraps [store.ErrCannotCopy] says that it is no use to try again.
	CopyFrom(ctx context.Context, it Item, from Sink, at store.Attrs) (Found, error)
}

// Item is a blob as one sink is asked for it.
type Item struct {
	Digest oci.Digest // sha256 or sha512
	Size   int64      // in bytes
	Into   string     // where in the sink it goes, for sinks that have several places
	// CRC32C of the blob, when it was read and compared with its digest here; nil when not.
	CRC32C *uint32
	// Over is the version of the wrong object that is to be replaced; "" when there is none.
	Over string

	note func(readBack int64) // nil: nobody wants to know
}

// ReadBack notes that n bytes were read from the sink to compare them: it is alive.
func (it Item) ReadBack(n int) {
	if it.note != nil {
		it.note(int64(n))
	}
}

// Found is what a sink has of a blob: it and how it came there, or nothing that is right.
type Found struct {
	How   How         // 0: the blob is not there, its bytes have to be sent
	Attrs store.Attrs // of the blob's object; zero with How 0
	Wrong string      // with How 0: the version of something else that lies in its place; "" when nothing does
	// FromWrong says that what was copied, or was to be copied, is not the blob.
	FromWrong bool
}
