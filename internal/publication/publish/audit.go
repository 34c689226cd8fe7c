package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// Audit is a log of what was done to a publication, in the same bucket: JSON lines in audit/YYYY-MM.jsonl. It is for
// people. Nothing is decided by it, so it is not signed. Its methods may be called by several goroutines.
type Audit struct {
	Bucket store.Bucket
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Entry is one line of the log. Only add fields; never remove one.
type Entry struct {
	Time       time.Time `json:"time"` // Append fills it in if it is zero
	By         string    `json:"by"`
	Action     string    `json:"action"` // such as publish, rollback, keys, off, rollout
	Rings      []string  `json:"rings,omitempty"`
	Generation uint64    `json:"generation,omitempty"`
	SHA256     string    `json:"sha256,omitempty"` // of the content
	Override   string    `json:"override,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Why        string    `json:"why,omitempty"`
}

// AuditPrefix is where the log lies.
const AuditPrefix = "audit/"

// These bound the log.
const (
	maxEntry    = 8 << 10 // bytes of a line
	maxPart     = 4 << 20 // bytes of an object; then the next part of the month begins
	maxParts    = 100     // of a month
	maxAttempts = 20      // to append while others do
)

// auditHeader: the log grows, so it must not come from a cache.
var auditHeader = store.Header{ContentType: "application/jsonl", CacheControl: "no-store"}

func partName(at time.Time, part int) string {
	month := AuditPrefix + at.UTC().Format("2006-01")
	if part == 1 {
		return month + ".jsonl"
	}
	return fmt.Sprintf("%s.%03d.jsonl", month, part)
}

// Append adds an entry. It does not lose entries of others that append at the same time.
func (a *Audit) Append(ctx context.Context, e Entry) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
		if a.Now != nil {
			e.Time = a.Now()
		}
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	if line = append(line, '\n'); len(line) > maxEntry {
		return fmt.Errorf("audit log: an entry of %d bytes, more than %d", len(line), maxEntry)
	}
	part := 1
	for attempt := 1; ; attempt++ {
		full, err := a.append(ctx, partName(e.Time, part), line)
		switch {
		case full && part < maxParts:
			part++
			attempt--
		case full:
			return fmt.Errorf("audit log: the month has more than %d parts", maxParts)
		case err == nil:
			return nil
		case attempt == maxAttempts || !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists):
			return fmt.Errorf("audit log: %w", err)
		default:
			if err := wait.For(ctx, wait.Jitter(wait.Doubled(20*time.Millisecond, attempt, time.Second))); err != nil {
				return fmt.Errorf("audit log: %w", err)
			}
		}
	}
}

// append adds a line to an object, and reports whether the object is full already.
func (a *Audit) append(ctx context.Context, name string, line []byte) (full bool, err error) {
	text, version, err := a.read(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if len(text)+len(line) > maxPart {
		return true, nil
	}
	_, err = a.Bucket.Put(ctx, name, store.Bytes(slices.Concat(text, line)), auditHeader, version)
	return false, err
}

func (a *Audit) read(ctx context.Context, name string) ([]byte, string, error) {
	body, at, err := a.Bucket.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = body.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(body, maxPart+1))
	if err == nil && len(text) > maxPart {
		err = fmt.Errorf("%s has more than %d bytes", name, maxPart)
	}
	return text, at.Version, err
}

// Entries returns the entries since a time, the oldest first. A line that cannot be read is an entry whose Detail is
// the line.
func (a *Audit) Entries(ctx context.Context, since time.Time) (out []Entry, err error) {
	first := partName(since, 1)[:len(AuditPrefix)+len("2006-01")]
	for at, err := range a.Bucket.List(ctx, AuditPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		if !strings.HasSuffix(at.Key, ".jsonl") || at.Key < first {
			continue
		}
		text, _, err := a.read(ctx, at.Key)
		if err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		for line := range bytes.Lines(text) {
			var e Entry
			if json.Unmarshal(line, &e) != nil {
				e = Entry{Action: "unreadable", Detail: string(bytes.TrimSpace(line[:min(len(line), 200)]))}
			}
			if e.Time.IsZero() || !e.Time.Before(since) {
				out = append(out, e)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	return out, nil
}
