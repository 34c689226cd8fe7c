package apply

import (
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

// LeasePrefix is where leases lie in a store, beside the inventory.
const LeasePrefix = "promote/"

// Errors of leases.
var (
	// ErrHeld: another run has the lease.
	ErrHeld = errors.New("another run is at work")
	// ErrLost: the lease could not be kept. Nothing is written any more, for another run may have begun.
	ErrLost = errors.New("the lease was lost")
)

// note is what a lease says. It is for people: whether it holds is told by its being written again, not by anybody's clock.
type note struct {
	Name    string    `json:"name"`
	Holder  string    `json:"holder"` // of this process
	Who     string    `json:"who,omitempty"`
	Plan    string    `json:"plan,omitempty"`
	Since   time.Time `json:"since"`
	Renewed time.Time `json:"renewed"`
	Expires time.Time `json:"expires"` // unless it is written again
}

// lease keeps two runs apart: an object that its holder writes again and again. Who wants it and finds it watches: when it was not
// written for a whole TTL, by the watcher's clock, its holder is dead. The holder in turn stops writing anything after two thirds of a TTL
// in which it could not renew. No two clocks are ever compared.
type lease struct {
	bucket store.Bucket
	key    string
	ttl    time.Duration
	note   note
	now    func() time.Time

	mu      sync.Mutex
	version string
	renewed time.Time // when the last good renewal was begun
	lost    error
}

func newLease(b store.Bucket, name, who, plan string, ttl time.Duration) *lease {
	sum := sha256.Sum256([]byte(name))
	return &lease{
		bucket: b, key: LeasePrefix + "lease-" + hex.EncodeToString(sum[:8]) + ".json", ttl: ttl, now: time.Now,
		note: note{Name: name, Holder: rand.Text(), Who: who, Plan: plan},
	}
}

// acquire takes the lease, perhaps that of a dead run. [ErrHeld] when its holder lives.
func (l *lease) acquire(ctx context.Context) error {
	version, err := l.await(ctx)
	if err != nil {
		return err
	}
	return l.claim(ctx, version)
}

// claim takes the lease that await found free. When somebody was faster it is as if await had just begun.
func (l *lease) claim(ctx context.Context, version string) error {
	for {
		err := l.write(ctx, version)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("write lease: %w", err)
		}
		if version, err = l.await(ctx); err != nil {
			return err
		}
	}
}

// await returns when nobody holds the lease, with the version that may be written over. [ErrHeld] when its holder lives.
func (l *lease) await(ctx context.Context) (string, error) {
	watched, since := "", time.Time{}
	for {
		at := l.now()
		held, version, err := l.read(ctx)
		switch {
		case err != nil:
			return "", fmt.Errorf("read lease: %w", err)
		case version == "", version == watched && at.Sub(since) >= l.ttl:
			return version, nil
		case watched == "":
			watched, since = version, at
		case version != watched:
			return "", fmt.Errorf("%w: %s, since %s, renewed %s", ErrHeld, held.describe(), held.Since.Format(time.RFC3339), held.Renewed.Format(time.RFC3339))
		}
		if err := wait.For(ctx, max(l.ttl/10, 10*time.Millisecond)); err != nil {
			return "", err
		}
	}
}

func (n *note) describe() string {
	if n.Who != "" {
		return n.Who
	}
	return n.Holder
}

// read returns what is there; version "" when there is nothing.
func (l *lease) read(ctx context.Context) (n note, version string, err error) {
	body, a, err := l.bucket.Get(ctx, l.key, 0, -1)
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
	_ = json.Unmarshal(text, &n) // whatever it says, somebody holds it
	return n, a.Version, nil
}

// write writes the lease over a version; "": there is none.
func (l *lease) write(ctx context.Context, version string) error {
	begun := l.now()
	if l.note.Since.IsZero() {
		l.note.Since = begun.UTC()
	}
	l.note.Renewed, l.note.Expires = begun.UTC(), begun.Add(l.ttl).UTC()
	text, err := json.Marshal(l.note)
	if err != nil {
		return err
	}
	a, err := l.bucket.Put(ctx, l.key, store.Bytes(text), store.Header{ContentType: "application/json", CacheControl: "no-store"}, version)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version, l.renewed = a.Version, begun
	return nil
}

// renew writes it again. What was written and seemed to fail is recognised.
func (l *lease) renew(ctx context.Context) error {
	l.mu.Lock()
	version := l.version
	l.mu.Unlock()
	err := l.write(ctx, version)
	if err == nil || !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
		return err
	}
	held, version, err := l.read(ctx)
	switch {
	case err != nil:
		return err
	case version != "" && held.Holder == l.note.Holder:
		return l.write(ctx, version)
	case version == "":
		return fmt.Errorf("%w: somebody removed it", ErrLost)
	}
	return fmt.Errorf("%w: %s has it", ErrLost, held.describe())
}

// keep renews until ctx ends; lost is told when that is over.
func (l *lease) keep(ctx context.Context, lost func(error)) {
	for {
		if wait.For(ctx, l.ttl/4) != nil {
			return
		}
		each, cancel := context.WithTimeout(ctx, l.ttl/3)
		err := l.renew(each)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrLost) {
			l.mu.Lock()
			l.lost = err
			l.mu.Unlock()
		}
		if err := l.check(); err != nil {
			lost(err)
		}
		if l.taken() {
			return
		}
	}
}

// check says why the lease does not hold.
func (l *lease) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return l.lost
	}
	if age := l.now().Sub(l.renewed); age >= l.ttl*2/3 {
		return fmt.Errorf("%w: it could not be renewed for %s", ErrLost, age.Round(time.Millisecond))
	}
	return nil
}

// release gives it back.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	version := l.version
	l.mu.Unlock()
	if version == "" {
		return nil
	}
	return l.bucket.Delete(ctx, l.key, version)
}
