package purge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// Store is one store as a purge sees it.
type Store struct {
	Name    string
	Bucket  store.Bucket
	URL     string        // of a blob as the public reads it, with {digest} in it
	CDN     bool          // the URL is that of a cache in front of the bucket
	Refresh time.Duration // how often servers ask for the inventory
	Err     error         // why the store cannot be used; nil when it can
}

// Ledger changes the inventories of the stores, by their numbers.
type Ledger interface {
	// Holds reports whether the inventory of a store lists d.
	Holds(store int, d oci.Digest) (size int64, ok bool)
	// Remove takes digests out of a store's inventory; durable on return.
	Remove(ctx context.Context, store int, digests ...oci.Digest) error
}

// Options of [Run].
type Options struct {
	Ledger Ledger
	// DryRun looks and changes nothing.
	DryRun bool
	// Waiting is told once a second how long is left to wait; nil: nobody is told.
	Waiting func(left time.Duration)
}

// Report is what a purge did. As JSON its fields are stable: they are only added to.
type Report struct {
	Digests     []oci.Digest  `json:"digests"`
	DryRun      bool          `json:"dryRun"`
	WaitSeconds float64       `json:"waitSeconds"` // between the last change of an inventory and the first deletion
	Stores      []StoreReport `json:"stores"`
	URLs        []URL         `json:"urls"` // what caches may still have
	ExitCode    int           `json:"exitCode"`
}

// StoreReport is what happened in one store.
type StoreReport struct {
	Name  string `json:"store"`
	Blobs []Blob `json:"blobs"`
	Error string `json:"error,omitempty"` // why the store is not done
}

// Blob is one digest in one store.
type Blob struct {
	Digest   oci.Digest `json:"digest"`
	Listed   bool       `json:"listed"`   // the inventory listed it
	Object   bool       `json:"object"`   // there was an object
	Size     int64      `json:"size"`     // of the object, in bytes
	Unlisted bool       `json:"unlisted"` // it was taken out of the inventory
	Deleted  bool       `json:"deleted"`  // the object was deleted
}

// URL is an address that caches may know the blob by.
type URL struct {
	Store string `json:"store"`
	CDN   bool   `json:"cdn"`
	URL   string `json:"url"`
}

// ErrDeny is the reason for a purge that makes no sense: the next pass of a mirror would bring the blob back.
var ErrDeny = errors.New("the config does not deny it")

// Denied checks that all digests are denied, so that what is purged stays away. The error wraps [ErrDeny].
func Denied(digests, deny []oci.Digest) error {
	denied := map[oci.Digest]bool{}
	for _, d := range deny {
		denied[d] = true
	}
	for _, d := range digests {
		if !denied[d] {
			return fmt.Errorf("%s: %w", d, ErrDeny)
		}
	}
	return nil
}

// Run purges digests. A store that fails is reported and the others are done nevertheless; the error is only the end of
// ctx, and the report says what was done until then.
func Run(ctx context.Context, digests []oci.Digest, stores []Store, opt Options) (*Report, error) {
	p := &purge{digests: digests, stores: stores, opt: opt,
		report: &Report{Digests: digests, DryRun: opt.DryRun, Stores: make([]StoreReport, len(stores)), URLs: []URL{}}}
	for i, s := range stores {
		p.report.Stores[i] = StoreReport{Name: s.Name, Blobs: make([]Blob, len(digests))}
		for k, d := range digests {
			p.report.Stores[i].Blobs[k].Digest = d
			if s.URL != "" {
				p.report.URLs = append(p.report.URLs, URL{s.Name, s.CDN, strings.Replace(s.URL, "{digest}", d.String(), 1)})
			}
		}
	}
	p.each(ctx, p.look)
	wait := p.wait()
	p.report.WaitSeconds = wait.Seconds()
	if !opt.DryRun {
		p.each(ctx, p.unlist)
		if err := p.pause(ctx, wait); err == nil {
			p.each(ctx, p.remove)
		}
	}
	p.report.ExitCode = p.code()
	return p.report, ctx.Err()
}

// Exit codes of a purge in which a store failed: as those of the other commands.
const (
	codeFailed  = 1 // nothing could be done, or looked at
	codePartial = 5 // some of it failed, the rest is done
)

// code reports whether all stores are done, or some of it all, or nothing.
func (p *purge) code() int {
	failed, some := false, false
	for _, s := range p.report.Stores {
		failed = failed || s.Error != ""
		some = some || s.Error == "" || slices.ContainsFunc(s.Blobs, func(b Blob) bool { return b.Unlisted || b.Deleted })
	}
	switch {
	case !failed:
		return 0
	case some:
		return codePartial
	}
	return codeFailed
}

type purge struct {
	digests []oci.Digest
	stores  []Store
	opt     Options
	report  *Report
}

// each runs f for every store that has not failed, all at once.
func (p *purge) each(ctx context.Context, f func(context.Context, int) error) {
	var wg sync.WaitGroup
	for i := range p.stores {
		s := &p.report.Stores[i]
		if s.Error != "" {
			continue
		}
		wg.Go(func() {
			err := p.stores[i].Err
			if err == nil {
				err = f(ctx, i)
			}
			if err != nil {
				s.Error = err.Error()
			}
		})
	}
	wg.Wait()
}

// look learns what a store has.
func (p *purge) look(ctx context.Context, i int) error {
	for k, d := range p.digests {
		b := &p.report.Stores[i].Blobs[k]
		_, b.Listed = p.opt.Ledger.Holds(i, d)
		attrs, err := p.stores[i].Bucket.Head(ctx, store.BlobKey(d))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		b.Object, b.Size = err == nil, attrs.Size
	}
	return nil
}

// wait is how long servers may still send clients to what the inventories cease to list: two intervals, since one may have
// begun just before. Nothing is waited for where there is no object to delete.
func (p *purge) wait() (longest time.Duration) {
	for i, s := range p.report.Stores {
		for _, b := range s.Blobs {
			if b.Object && s.Error == "" {
				longest = max(longest, 2*p.stores[i].Refresh)
			}
		}
	}
	return longest
}

// unlist takes out of the inventory what it lists, and what is there: somebody may have put that and be about to record it.
func (p *purge) unlist(ctx context.Context, i int) error {
	var there []oci.Digest
	for _, b := range p.report.Stores[i].Blobs {
		if b.Listed || b.Object {
			there = append(there, b.Digest)
		}
	}
	if len(there) == 0 {
		return nil
	}
	if err := p.opt.Ledger.Remove(ctx, i, there...); err != nil {
		return err
	}
	for k := range p.report.Stores[i].Blobs {
		b := &p.report.Stores[i].Blobs[k]
		b.Unlisted = b.Listed
	}
	return nil
}

// pause waits, and tells how long is left.
func (p *purge) pause(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	for left := d; left > 0; left = time.Until(end) {
		if p.opt.Waiting != nil {
			p.opt.Waiting(left)
		}
		if wait.For(ctx, min(left, time.Second)) != nil {
			break
		}
	}
	return ctx.Err()
}

// remove deletes the objects, and makes sure that nobody has put them back. Then the inventory lets go of them again: a mirror that
// had put one before may have recorded it while we waited.
func (p *purge) remove(ctx context.Context, i int) error {
	var deleted []oci.Digest
	var err error
	for k := range p.report.Stores[i].Blobs {
		b := &p.report.Stores[i].Blobs[k]
		if !b.Object {
			continue
		}
		if err = p.delete(ctx, i, b.Digest); err != nil {
			break
		}
		b.Deleted = true
		deleted = append(deleted, b.Digest)
	}
	if len(deleted) > 0 {
		err = errors.Join(err, p.opt.Ledger.Remove(ctx, i, deleted...))
	}
	return err
}

func (p *purge) delete(ctx context.Context, i int, d oci.Digest) error {
	bucket, key := p.stores[i].Bucket, store.BlobKey(d)
	if err := bucket.Delete(ctx, key, ""); err != nil {
		return err
	}
	_, err := bucket.Head(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%s: it came back: does a mirror run with a config that does not deny it?", d)
	}
	return err
}
