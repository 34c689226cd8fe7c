package store

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"time"
)

// Bucket is an object store as its owner uses it. All methods may be called from several goroutines; every request
// inside them has a time-out, and is tried again a few times when the store says it is busy.
//
// Reading after writing is consistent, lists too. A write that returns nil is durable. A write that returns an error
// may have happened, or may happen later: call Head to find out.
//
// An error about one object wraps [ErrNotFound], [ErrExists] or [ErrConflict] where one of them applies; an error
// about the whole bucket wraps [ErrDenied] or [ErrUnfit].
type Bucket interface {
	// String names the bucket as the configuration does, without secrets: "s3://prod-use1".
	String() string
	// Check makes sure, before the first byte is written, that the bucket exists, belongs to the expected owner, lies
	// in the expected region, and honours conditional writes. It writes below probe (a key prefix ending in "/") and
	// removes that again. Without a probe, "", it writes nothing, and does not check conditional writes.
	Check(ctx context.Context, probe string) error
	// Head describes an object.
	Head(ctx context.Context, key string) (Attrs, error)
	// Get opens n bytes from offset off; n < 0 means to the end. The attributes are those of the whole object, for a
	// part perhaps without checksums. Reading fails rather than ending early or mixing two versions. A range that the
	// object does not have is an error, of Get or of reading. The caller closes the body.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error)
	// Put writes an object if its version is still the given one; "" means that there must be none. Otherwise it
	// writes nothing and the error is ErrExists (version was "") or ErrConflict. The object appears complete or not
	// at all, and only after c.Verified has returned nil.
	Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error)
	// List returns the objects whose key starts with prefix and sorts after after, in the order of their keys' bytes.
	// The attributes are those that a list has: size, version and time, perhaps without checksums and headers. The
	// last pair may be an error; it wraps [ErrListing] where the service contradicts itself. Even a list that ends
	// well does not prove that an object is absent: before you remove anything because of it, ask with Head.
	List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error]
	// Delete removes an object if its version is still the given one; "" removes any. It is no error when there is
	// none.
	Delete(ctx context.Context, key, version string) error
}

// Copier is a [Bucket] that can copy an object from another bucket without sending the bytes through this machine.
type Copier interface {
	// CopyFrom copies an object of src, of known size and version, to key, if nothing is there ([ErrExists]).
	// [ErrCannotCopy]: this store cannot, or may not, copy it from there; send the bytes. Only the store says what it
	// copied. To be sure, compare the checksum of the attributes, or read the object back when there is none.
	CopyFrom(ctx context.Context, key string, src Bucket, from Attrs, h Header) (Attrs, error)
	// CopiesFrom reports whether CopyFrom from src may work: it needs the same provider and service endpoint.
	CopiesFrom(src Bucket) bool
}

// Cleaner is a [Bucket] in which unfinished uploads cost money until they are removed.
type Cleaner interface {
	// Clean aborts uploads below prefix that were begun longer than age ago, by the store's clock.
	Clean(ctx context.Context, prefix string, age time.Duration) (aborted int, err error)
}

// Content is what is put. It may still be arriving while it is written.
type Content interface {
	// Size in bytes; known before the first byte is there.
	Size() int64
	// SHA256 is the content's SHA-256 in lower-case hexadecimal when it is known beforehand, else "" (a sha512 blob).
	// A store that keeps a SHA-256 of whole objects receives it.
	SHA256() string
	// ReadAt is the method of [io.ReaderAt]. It waits until the bytes have arrived, and fails when they never will.
	// Several goroutines may read, each part several times.
	io.ReaderAt
	// Verified waits until all bytes have arrived; nil means that they have the digest they should have.
	Verified(ctx context.Context) error
	// CRC32C of the whole (Castagnoli); only after Verified returned nil.
	CRC32C() uint32
}

// Arriving is a [Content] with a wait that ends when ctx ends, as a cancelled [Bucket.Put] needs; ReadAt alone does
// not end then.
type Arriving interface {
	Content
	// Wait returns nil once the first n bytes are there, and an error when they never will be or ctx ends.
	Wait(ctx context.Context, n int64) error
}

// Header is what is stored beside an object.
type Header struct {
	ContentType  string
	CacheControl string
}

// Attrs describe an object.
type Attrs struct {
	Key      string
	Size     int64
	Version  string    // changes with every write of other bytes: an ETag, a generation; opaque
	Modified time.Time // by the store's clock
	SHA256   string    // of the whole object, lower-case hexadecimal, as the store itself computed it; "" where it keeps none
	CRC32C   *uint32   // of the whole object; nil where the store keeps none
	Header
	ContentEncoding string
	// Hidden is why only its owner, or not even the owner, can read the bytes though the object is there: it lies in
	// an archive, a customer's key is needed, or it stands for another page. "": the store reports no such reason; a
	// list may not report all.
	Hidden string
}

// What a bucket answers.
var (
	ErrNotFound   = errors.New("no such object")
	ErrExists     = errors.New("the object exists")
	ErrConflict   = errors.New("the object was changed by somebody else")
	ErrDenied     = errors.New("not permitted")
	ErrUnfit      = errors.New("the bucket cannot be used") // missing, somebody else's, elsewhere, or without conditional writes
	ErrCannotCopy = errors.New("the store cannot copy from there")
)

// castagnoli is the polynomial of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)
