package store

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"time"
)

// Bucket is an object store as its owner uses it. Several goroutines may call all methods. Every request inside them
// has a time-out, and is tried again a few times when the store says that it is busy.
//
// Reading after writing is consistent, also in lists. A write that returns nil is durable. A write that returns an
// error may have happened, or may happen later: call Head to find out.
//
// An error about one object wraps [ErrNotFound], [ErrExists] or [ErrConflict] where one of them applies; an error
// about the bucket itself wraps [ErrDenied] or [ErrUnfit].
type Bucket interface {
	// String names the bucket as the configuration does, without secrets: "s3://prod-use1".
	String() string
	// Check makes sure, before the first byte is written, that the bucket exists, belongs to the expected owner, lies
	// in the expected region, and honours conditional writes. It writes an object below probe (a key prefix that ends
	// in "/") and removes it again. If probe is "", it writes nothing and does not check conditional writes.
	Check(ctx context.Context, probe string) error
	// Head describes an object.
	Head(ctx context.Context, key string) (Attrs, error)
	// Get opens n bytes from offset off; n < 0 means to the end. The attributes describe the complete object; for a
	// part, they may have no checksums. Reading fails if the body ends early or would mix two versions. A range that
	// the object does not have is an error, of Get or of reading. The caller closes the body.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error)
	// Put writes an object if it still has the given version; "" means that the object must not exist. Otherwise Put
	// writes nothing and the error is ErrExists (version was "") or ErrConflict. The object appears complete or not at
	// all, and only after c.Verified has returned nil.
	Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error)
	// List returns the objects whose key starts with prefix and sorts after after, in the order of their keys' bytes.
	// The attributes are those that a list has: size, version and time; checksums and headers may be absent. The last
	// pair may be an error; it wraps [ErrListing] if the service contradicts itself. Even a list that ends well does
	// not prove that an object is absent: before you remove anything because of it, call Head.
	List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error]
	// Delete removes an object if it still has the given version; "" removes any version. If there is no object, that
	// is no error.
	Delete(ctx context.Context, key, version string) error
}

// Copier is a [Bucket] that can copy an object from another bucket without sending the bytes through this machine.
type Copier interface {
	// CopyFrom copies an object of src, of known size and version, to key, if key does not exist yet ([ErrExists]).
	// [ErrCannotCopy] means that this store cannot, or may not, copy it from there: send the bytes instead. Only the
	// store says what it copied. To be sure, compare the checksum in the attributes, or read the object back if there
	// is none.
	CopyFrom(ctx context.Context, key string, src Bucket, from Attrs, h Header) (Attrs, error)
	// CopiesFrom reports whether CopyFrom from src may work: it needs the same provider and service endpoint.
	CopiesFrom(src Bucket) bool
}

// Cleaner is a [Bucket] in which unfinished uploads cost money until they are removed.
type Cleaner interface {
	// Clean aborts uploads below prefix that began more than age ago, by the store's clock.
	Clean(ctx context.Context, prefix string, age time.Duration) (aborted int, err error)
}

// Content is what Put writes. It may still be arriving while it is written.
type Content interface {
	// Size is in bytes, and known before the first byte is there.
	Size() int64
	// SHA256 is the content's SHA-256 in lower-case hexadecimal if it is known beforehand, else "" (for a sha512 blob).
	// It is sent to stores that keep a SHA-256 of complete objects.
	SHA256() string
	// ReadAt is the method of [io.ReaderAt]. It waits until the bytes have arrived, and fails if they never will.
	// Several goroutines may read, and may read each part several times.
	io.ReaderAt
	// Verified waits until all bytes have arrived; nil means that they have the expected digest.
	Verified(ctx context.Context) error
	// CRC32C is that of the complete content (Castagnoli). Call it only after Verified returned nil.
	CRC32C() uint32
}

// Arriving is a [Content] that can also wait until ctx ends. A cancelled [Bucket.Put] needs that, because ReadAt does
// not end with ctx.
type Arriving interface {
	Content
	// Wait returns nil when the first n bytes are there, and an error if they will never arrive or ctx ends.
	Wait(ctx context.Context, n int64) error
}

// Header is what a store keeps with an object.
type Header struct {
	ContentType  string
	CacheControl string
}

// Attrs describe an object.
type Attrs struct {
	Key      string
	Size     int64
	Version  string    // opaque, an ETag or a generation; every write of other bytes changes it
	Modified time.Time // by the store's clock
	SHA256   string    // of the complete object, lower-case hexadecimal, computed by the store itself; "" if it keeps none
	CRC32C   *uint32   // of the complete object; nil if the store keeps none
	Header
	ContentEncoding string
	// Hidden is why the object is there but clients, or even its owner, cannot read its bytes: it lies in an archive,
	// it needs a customer's key, or it redirects to another page. "" means that the store reports no such reason. A
	// list may not report all reasons.
	Hidden string
}

// Errors that a bucket returns.
var (
	ErrNotFound   = errors.New("no such object")
	ErrExists     = errors.New("the object exists")
	ErrConflict   = errors.New("the object was changed by somebody else")
	ErrDenied     = errors.New("not permitted")
	ErrUnfit      = errors.New("the bucket cannot be used") // missing, foreign, elsewhere, or without conditional writes
	ErrCannotCopy = errors.New("the store cannot copy from there")
)

// castagnoli is the polynomial of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)
