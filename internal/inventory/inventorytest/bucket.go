package inventorytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/inventory/write"
)

// Op is an operation of a bucket.
type Op string

// The operations.
const (
	Get    Op = "get"
	Put    Op = "put"
	List   Op = "list"
	Delete Op = "delete"
)

// Fault is how an operation fails.
type Fault int

// The faults.
const (
	None      Fault = iota
	Failed          // nothing happened
	Persisted       // it happened, but the answer was lost
)

// ErrFault is what a failed operation returns.
var ErrFault = errors.New("the bucket does not answer")

// Bucket is a [write.Bucket] in memory. It also serves its objects over HTTP. The zero value is an empty bucket, ready
// to use.
type Bucket struct {
	// Inject decides whether an operation fails; nil: none fails. It may use the bucket, and several goroutines may
	// call it.
	Inject func(op Op, key string) Fault
	// Now is the bucket's clock; nil is time.Now.
	Now func() time.Time
	// Watch is called after each change, under the bucket's lock; nil: not called. It must not change or keep objects.
	Watch func(op Op, key string, objects map[string]Stored)

	mu      sync.Mutex
	objects map[string]Stored
	version int
}

// Stored is one object of a bucket.
type Stored struct {
	Body     []byte
	Version  string
	Modified time.Time
	Object   write.Object // as it was put, without body
}

func (b *Bucket) fault(op Op, key string) Fault {
	if b.Inject == nil {
		return None
	}
	return b.Inject(op, key)
}

// Get implements [write.Bucket].
func (b *Bucket) Get(ctx context.Context, key string) (io.ReadCloser, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	if b.fault(Get, key) != None {
		return nil, "", ErrFault
	}
	o, ok := b.Object(key)
	if !ok {
		return nil, "", write.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(o.Body)), o.Version, nil
}

// Put implements [write.Bucket].
func (b *Bucket) Put(ctx context.Context, key string, o write.Object, version string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	body, err := io.ReadAll(o.Body)
	if err != nil {
		return "", err
	}
	if int64(len(body)) != o.Size {
		return "", fmt.Errorf("put %s: %d bytes, announced %d", key, len(body), o.Size)
	}
	fault := b.fault(Put, key)
	if fault == Failed {
		return "", ErrFault
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now, ok := b.objects[key]; ok && version == "" {
		err = write.ErrExists
	} else if now.Version != version {
		err = write.ErrConflict
	} else {
		o.Body = nil
		b.set(key, Stored{Body: body, Object: o})
		b.watch(Put, key)
	}
	if fault == Persisted {
		return "", ErrFault
	}
	if err != nil {
		return "", err
	}
	return b.objects[key].Version, nil
}

// set writes an object without any condition. The lock is held.
func (b *Bucket) set(key string, s Stored) {
	if b.objects == nil {
		b.objects = map[string]Stored{}
	}
	b.version++
	s.Version, s.Modified = fmt.Sprintf("v%d", b.version), b.now()
	b.objects[key] = s
}

// Set writes an object without any condition, for tests that break something.
func (b *Bucket) Set(key string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(key, Stored{Body: body})
}

// Object returns an object.
func (b *Bucket) Object(key string) (Stored, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	return o, ok
}

// Keys lists all keys that start with prefix, in order.
func (b *Bucket) Keys(prefix string) (keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// List implements [write.Bucket].
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[write.Listed, error] {
	return func(yield func(write.Listed, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(write.Listed{}, err)
			return
		}
		if b.fault(List, prefix) != None {
			yield(write.Listed{}, ErrFault)
			return
		}
		for _, key := range b.Keys(prefix) {
			if o, ok := b.Object(key); ok && !yield(write.Listed{Key: key, Size: int64(len(o.Body)), Modified: o.Modified}, nil) {
				return
			}
		}
	}
}

// Delete implements [write.Bucket].
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fault := b.fault(Delete, key)
	if fault == Failed {
		return ErrFault
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.objects[key]; ok {
		delete(b.objects, key)
		b.watch(Delete, key)
	}
	if fault == Persisted {
		return ErrFault
	}
	return nil
}

// Wipe removes everything.
func (b *Bucket) Wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects = nil
}

// CopyTo replicates all objects into another bucket, as a cloud's replication does.
func (b *Bucket) CopyTo(other *Bucket) {
	for _, key := range b.Keys("") {
		if o, ok := b.Object(key); ok {
			other.Set(key, o.Body)
		}
	}
}

func (b *Bucket) watch(op Op, key string) {
	if b.Watch != nil {
		b.Watch(op, key, b.objects)
	}
}

func (b *Bucket) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// ServeHTTP serves objects by key, with ETag and conditional GET. It answers 404 for missing objects.
func (b *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, ok := b.Object(strings.TrimPrefix(r.URL.Path, "/"))
	if !ok {
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+o.Version+`"`)
	if o.Object.ContentType != "" {
		w.Header().Set("Content-Type", o.Object.ContentType)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.Body))
}
