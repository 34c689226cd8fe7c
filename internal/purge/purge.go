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
	URL     string        // where anonymous clients read a blob, with {digest} in it
	CDN     bool          // the URL is that of a cache in front of the bucket
	Refresh time.Duration // how often servers load the inventory
	Err     error         // why the store cannot be used; nil if it can
}

// Ledger changes the inventories of the stores. Each store has its number in the list for [Run].
type Ledger interface {
	// Holds reports whether the inventory of a store lists d.
	Holds(store int, d oci.Digest) (size int64, ok bool)
	// Remove removes digests from a store's inventory; durable on return.
	Remove(ctx context.Context, store int, digests ...oci.Digest) error
}

// Options of [Run].
type Options struct {
	Ledger Ledger
	// DryRun looks and changes nothing.
	DryRun bool
	// Waiting is called once a second with the time left to wait; nil if the caller does not need it.
	Waiting func(left time.Duration)
}

// Report is what a purge did. Its JSON fields are stable: fields are only added.
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
	Error string `json:"error,omitempty"` // why the store is not finished
}

// Blob is one digest in one store.
type Blob struct {
	Digest   oci.Digest `json:"digest"`
	Listed   bool       `json:"listed"`   // the inventory listed it
	Object   bool       `json:"object"`   // there was an object
	Size     int64      `json:"size"`     // of the object, in bytes
	Unlisted bool       `json:"unlisted"` // it was removed from the inventory
	Deleted  bool       `json:"deleted"`  // the object was deleted
}

// URL is an address under which caches may have the blob.
type URL struct {
	Store string `json:"store"`
	CDN   bool   `json:"cdn"`
	URL   string `json:"url"`
}

// ErrDeny means that a purge would be useless: the next pass of a mirror would bring the blob back.
var ErrDeny = errors.New("the config does not deny it")

// Denied checks that all digests are denied, so that purged blobs stay away. Its error wraps [ErrDeny].
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

// Run purges digests. If a store fails, Run reports it and continues with the others. It returns an error only if ctx
// ends; the report then says what was done before.
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

// Exit codes of a purge in which a store failed. Other commands use the same codes.
const (
	codeFailed  = 1 // nothing could be done or checked
	codePartial = 5 // a part failed, the rest is done
)

// code returns the exit code: everything is done, a part is done, or nothing is done.
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

// each runs f for all stores that have not failed, at the same time.
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

// look finds out what a store has.
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

// wait returns how long servers may still send clients to blobs after the inventories stopped listing them: two
// intervals, since an interval may have begun just before. Without an object to delete, there is no wait.
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

// unlist removes from the inventory the blobs that it lists, and also those whose objects exist: another process may
// have put an object and be about to record it.
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

// pause waits, and reports how much time is left.
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

// remove deletes the objects, and makes sure that no writer has put them back. Then it removes them from the inventory
// again: a mirror that had put an object before may have recorded it during the wait.
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
