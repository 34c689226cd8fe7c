package transfer

import (
	"context"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// Sink takes blobs: a bucket, or a registry. What it reports as found is durable and was compared with the digest. Its
// methods may be called from several goroutines. They end soon after ctx.
type Sink interface {
	// Look finds out whether the right blob is there already.
	Look(ctx context.Context, it Item) (Found, error)
	// Put sends the blob. It replaces the wrong object that Look found, if any. The content may still arrive meanwhile.
	// If another object came first, Put compares that.
	Put(ctx context.Context, it Item, c store.Content) (Found, error)
}

// Copier is a [Sink] that can copy a blob from another sink, so that the bytes do not pass through this process.
type Copier interface {
	Sink
	// CopiesFrom reports whether CopyFrom may work.
	CopiesFrom(from Sink) bool
	// CopyFrom copies the blob and compares the copy. at is what from is known to have; if at is zero, CopyFrom asks.
	// An error that wraps [store.ErrCannotCopy] says that another try is useless.
	CopyFrom(ctx context.Context, it Item, from Sink, at store.Attrs) (Found, error)
}

// Item is a blob in a request to one sink.
type Item struct {
	Digest oci.Digest // sha256 or sha512
	Size   int64      // in bytes
	Into   string     // where in the sink it belongs, for sinks with several places
	// CRC32C of the blob, if it was read and compared with its digest here; else nil.
	CRC32C *uint32
	// Over is the version of the wrong object to replace; "" if there is none.
	Over string

	note func(readBack int64) // may be nil
}

// ReadBack records that n bytes were read from the sink to compare them: the sink is alive.
func (it Item) ReadBack(n int) {
	if it.note != nil {
		it.note(int64(n))
	}
}

// Found is what a sink has: the blob, and how it came there; or no right object.
type Found struct {
	How   How         // 0: the blob is not there, and its bytes must be sent
	Attrs store.Attrs // of the blob's object; zero with How 0
	Wrong string      // with How 0: the version of a wrong object in its place; "": none
	// FromWrong says that the source of the copy is not the blob.
	FromWrong bool
}
