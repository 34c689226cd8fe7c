package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// note is the content of a lease. It is for people. Whether the lease holds depends only on whether the object is
// rewritten, not on any clock.
type note struct {
	Name    string    `json:"name"`
	Holder  string    `json:"holder"` // id of this process
	Who     string    `json:"who,omitempty"`
	Plan    string    `json:"plan,omitempty"`
	Since   time.Time `json:"since"`
	Renewed time.Time `json:"renewed"`
	Expires time.Time `json:"expires"` // unless it is rewritten
}

// object is the lease in one bucket. Its holder rewrites it again and again. A run that wants the lease and finds it
// watches it. If it was not rewritten for a whole TTL, by the watcher's clock, its holder is dead. A holder that could
// not renew stops all its writes after two thirds of a TTL. The package never compares two clocks.
type object struct {
	bucket store.Bucket
	key    string
	ttl    time.Duration
	note   note
	now    func() time.Time

	mu      sync.Mutex
	version string
	renewed time.Time // when the last successful renewal began
	lost    error
	failed  error // by the last renewal; nil if it succeeded
}

func newObject(b store.Bucket, opt Options) *object {
	sum := sha256.Sum256([]byte(opt.Name))
	return &object{
		bucket: b, key: opt.Prefix + "lease-" + hex.EncodeToString(sum[:8]) + ".json", ttl: opt.TTL, now: time.Now,
		note: note{Name: opt.Name, Holder: rand.Text(), Who: opt.Who, Plan: opt.Plan},
	}
}

// claim takes the lease that await found free. If another run was faster, claim waits again.
func (o *object) claim(ctx context.Context, version string) error {
	for {
		err := o.write(ctx, version)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("write lease: %w", err)
		}
		if version, err = o.await(ctx); err != nil {
			return err
		}
	}
}

// await returns when the lease is free, with the version that may be overwritten. It returns [ErrHeld] if the holder is
// alive.
func (o *object) await(ctx context.Context) (string, error) {
	watched, since := "", time.Time{}
	for {
		at := o.now()
		held, version, err := o.read(ctx)
		switch {
		case err != nil:
			return "", fmt.Errorf("read lease: %w", err)
		case version == "", version == watched && at.Sub(since) >= o.ttl:
			return version, nil
		case watched == "":
			watched, since = version, at
		case version != watched:
			return "", fmt.Errorf("%w: %s", ErrHeld, held.describe())
		}
		if err := wait.For(ctx, max(o.ttl/10, 10*time.Millisecond)); err != nil {
			return "", err
		}
	}
}

// describe says who holds the lease and since when, as far as the note says it: another release, or a person, may have
// written it.
func (n *note) describe() string {
	said := cmp.Or(n.Who, n.Holder, "its object does not say by whom")
	for _, at := range []struct {
		what string
		time time.Time
	}{{"since", n.Since}, {"renewed", n.Renewed}} {
		if !at.time.IsZero() {
			said += ", " + at.what + " " + at.time.Format(time.RFC3339)
		}
	}
	return said
}

// read returns the note and its version; the version is "" if there is none.
func (o *object) read(ctx context.Context) (n note, version string, err error) {
	body, a, err := o.bucket.Get(ctx, o.key, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return n, "", nil
	}
	if err != nil {
		return n, "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 1<<16))
	if err != nil {
		return n, "", err
	}
	_ = json.Unmarshal(text, &n) // whatever it says, the lease is held
	return n, a.Version, nil
}

// write writes the lease over a version; "" means that there is none.
func (o *object) write(ctx context.Context, version string) error {
	begun := o.now()
	if o.note.Since.IsZero() {
		o.note.Since = begun.UTC()
	}
	o.note.Renewed, o.note.Expires = begun.UTC(), begun.Add(o.ttl).UTC()
	text, err := json.Marshal(o.note)
	if err != nil {
		return err
	}
	a, err := o.bucket.Put(ctx, o.key, store.Bytes(text), store.Header{ContentType: "application/json", CacheControl: "no-store"}, version)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version, o.renewed = a.Version, begun
	return nil
}

// renew rewrites the lease. It recognises an earlier write of its own that seemed to fail.
func (o *object) renew(ctx context.Context) error {
	o.mu.Lock()
	version := o.version
	o.mu.Unlock()
	err := o.write(ctx, version)
	if err == nil || !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
		return err
	}
	held, version, err := o.read(ctx)
	switch {
	case err != nil:
		return err
	case version != "" && held.Holder == o.note.Holder:
		return o.write(ctx, version)
	case version == "":
		return fmt.Errorf("%w: somebody removed it", ErrLost)
	}
	return fmt.Errorf("%w: %s has it", ErrLost, held.describe())
}

// keep renews the lease until ctx ends. It calls lost when the lease does not hold any more.
func (o *object) keep(ctx context.Context, lost func(error)) {
	for {
		if wait.For(ctx, o.ttl/4) != nil {
			return
		}
		each, cancel := context.WithTimeout(ctx, o.ttl/3)
		err := o.renew(each)
		cancel()
		if ctx.Err() != nil {
			return
		}
		o.mu.Lock()
		o.failed = err
		if errors.Is(err, ErrLost) {
			o.lost = err
		}
		o.mu.Unlock()
		if err := o.check(); err != nil {
			lost(err)
		}
		if o.taken() {
			return
		}
	}
}

// check returns why the lease does not hold, or nil.
func (o *object) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost != nil {
		return o.lost
	}
	if age := o.now().Sub(o.renewed); age >= o.ttl*2/3 {
		err := fmt.Errorf("%w: it could not be renewed for %s", ErrLost, age.Round(time.Millisecond))
		if o.failed != nil {
			err = fmt.Errorf("%w: %w", err, o.failed)
		}
		return err
	}
	return nil
}

// taken reports whether another run has the lease.
func (o *object) taken() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost != nil
}

// release gives the lease back.
func (o *object) release(ctx context.Context) error {
	o.mu.Lock()
	version := o.version
	o.mu.Unlock()
	if version == "" {
		return nil
	}
	return o.bucket.Delete(ctx, o.key, version)
}
