package write

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Bucket is the part of an object store that a [Writer] needs: the objects below one inventory's prefix, by key
// ("head.json", "seg/…"). Several goroutines and several processes use it at once.
//
// Reading after writing is consistent, lists too. A write that returns nil is durable. A write that returns an error
// may have happened, or may happen later.
type Bucket interface {
	// Get opens an object and returns its version, a text that changes with every write. ErrNotFound: there is none.
	// The caller closes the body.
	Get(ctx context.Context, key string) (body io.ReadCloser, version string, err error)
	// Put writes an object if its version is still the given one; "" means that there must be none. Otherwise it
	// writes nothing, and the error is ErrExists (version was "") or ErrConflict. The object appears complete or not
	// at all. Put returns the version that the object has now. It may be called again with the same arguments, and
	// may read the body several times.
	Put(ctx context.Context, key string, o Object, version string) (now string, err error)
	// List returns the objects whose key starts with prefix, in any order. The last pair may be an error.
	List(ctx context.Context, prefix string) iter.Seq2[Listed, error]
	// Delete removes an object. A missing object is not an error.
	Delete(ctx context.Context, key string) error
}

// Object is an object to put.
type Object struct {
	Body         io.ReadSeeker // from its start
	Size         int64
	SHA256       string // lower-case hexadecimal; "" if unknown
	ContentType  string
	CacheControl string
}

// Listed is one object of a list.
type Listed struct {
	Key      string
	Size     int64
	Modified time.Time // by the bucket's clock
}

// What a bucket answers.
var (
	ErrNotFound = errors.New("no such object")
	ErrExists   = errors.New("the object exists")
	ErrConflict = errors.New("the object was changed by somebody else")
)
