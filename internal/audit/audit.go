package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
	"ociproxy/internal/walk"
)

// From says where an audit learns what stores have.
type From string

// The sources of an audit, cheapest first.
const (
	Inventory From = "inventory" // the stores' inventories: no request for an object
	Listing   From = "listing"   // the buckets' listings, in addition to the inventories
	Head      From = "head"      // requests for each needed object, or a sample: by the owner and as an anonymous client
)

// Store is one store as an audit sees it.
type Store struct {
	Name   string
	Bucket store.Bucket
	// Records returns what the inventory lists, ascending by digest, sha256 first; the last pair may be an error.
	Records func(context.Context) iter.Seq2[inventory.Record, error]
	// URL is where anonymous clients read a blob, with {digest} in it. If it is "", the audit makes no requests as an
	// anonymous client.
	URL string
	// Err says why the store cannot be checked; nil if it can.
	Err error
}

// Options of [Run].
type Options struct {
	From From
	// Deep reads and hashes objects: those that images need and those that the inventory lists. It also makes requests
	// as an anonymous client.
	Deep bool
	// Spot is about how many objects are checked in each store if nothing else checks single objects. They are chosen
	// at random among the needed blobs that the inventory lists; if there are fewer, all are checked. A spot check
	// without an answer is no finding.
	Spot int
	// Sample is the percentage of blobs that Head and Deep check, chosen at random; 0 means 100.
	Sample float64
	// Partial says that the images are not all images of the source. Then only denied blobs are unexpected.
	Partial bool
	// Kept are digests that belong in every store although no image needs them: those that a mirror probes with.
	Kept []oci.Digest
	// Denied reports whether no store should have a digest. nil denies none.
	Denied func(oci.Digest) bool
	// Limit is how many findings of one class in one store are listed; 0 lists all. Repair uses all findings.
	Limit int
	// Parallel is how many objects of one store are checked at once; 0 means 8.
	Parallel int
	// Client makes the requests as an anonymous client. nil means a client of this package, which has limits and
	// follows no redirects.
	Client *http.Client
	// Progress is updated during the run; nil if the caller does not need it.
	Progress *Progress
}

// Progress counts what has been done. It may be read at any time.
type Progress struct {
	Images    atomic.Int64 // walked
	Failed    atomic.Int64 // images or repositories that could not be read
	Compared  atomic.Int64 // rows, counted for each store
	Asked     atomic.Int64 // objects requested or read
	ReadBytes atomic.Int64 // of objects
	Found     atomic.Int64 // findings, without unexpected ones
	Repaired  atomic.Int64
}

// Audit is a finished audit: its report, and what [Audit.Repair] needs to fix the findings.
type Audit struct {
	Report *Report
	needs  *needs
	truths truths
	stores []Store
	client *http.Client // for requests as an anonymous client
	faults []fault
	limit  int
}

// Limits of the lists in a report.
const (
	maxErrors   = 20 // texts
	maxVanished = 1000
)

// Run walks all images and compares. It counts an error about one image, and continues. Run fails only if ctx ends. A
// store that cannot be read to the end is reported as such, beside the others.
func Run(ctx context.Context, images iter.Seq2[walk.Image, error], stores []Store, opt Options) (*Audit, error) {
	began := time.Now()
	opt = opt.withDefaults()
	a := &Audit{needs: &needs{}, stores: stores, client: opt.Client, limit: opt.Limit, Report: &Report{
		From: opt.From, Deep: opt.Deep, Sample: opt.Sample, Spot: opt.Spot, Source: SourceReport{Errors: []string{}}, Findings: []Finding{},
	}}
	if err := a.walk(ctx, images, opt); err != nil {
		return nil, err
	}
	a.Report.Partial = opt.Partial || a.Report.Source.Failed > 0
	order := a.needs.ascending()
	tallies := make([]*tally, len(stores))
	var wg sync.WaitGroup
	for i := range stores {
		tallies[i] = newTally(a.needs, i, stores[i].Name, opt)
		tallies[i].partial = a.Report.Partial
		wg.Go(func() {
			if err := a.inspect(ctx, order, stores[i], opt, tallies[i]); err != nil {
				tallies[i].report.Error = err.Error()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, f := range tallies {
		f.finish()
		a.Report.Stores = append(a.Report.Stores, f.report)
		a.Report.Findings = append(a.Report.Findings, f.list...)
		a.Report.Omitted += f.omitted
		a.faults = append(a.faults, f.faults...)
	}
	a.needs.name(a.Report.Findings)
	a.Report.Source.Misstated, a.Report.Source.Wrong = a.needs.misstated(&a.truths, opt.Limit)
	a.Report.ExitCode = a.Report.code(nil)
	a.Report.DurationMs = time.Since(began).Milliseconds()
	return a, nil
}

func (o Options) withDefaults() Options {
	o.From = cmp.Or(o.From, Inventory)
	if o.Deep || o.From != Inventory {
		o.Spot = 0
	}
	if o.Sample <= 0 || o.Sample > 100 {
		o.Sample = 100
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	if o.Denied == nil {
		o.Denied = func(oci.Digest) bool { return false }
	}
	if o.Client == nil {
		o.Client = store.PublicClient(o.Parallel)
	}
	return o
}

// walk collects what images need.
func (a *Audit) walk(ctx context.Context, images iter.Seq2[walk.Image, error], opt Options) error {
	source := &a.Report.Source
	accept := func(d oci.Digest) bool { return d.InStores() && !opt.Denied(d) }
	for img, err := range images {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if gone, ok := errors.AsType[*walk.Vanished](err); ok {
			source.vanished(*gone)
			continue
		}
		if err != nil {
			source.Failed++
			opt.Progress.Failed.Add(1)
			if len(source.Errors) < maxErrors {
				source.Errors = append(source.Errors, err.Error())
			}
			continue
		}
		a.needs.add(img, accept)
		opt.Progress.Images.Add(1)
	}
	source.Repositories = len(a.needs.repos.names)
	source.Images, source.Blobs, source.Bytes = len(a.needs.images), int64(len(a.needs.blobs)), a.needs.bytes()
	return ctx.Err()
}

// inspect compares one store with what images need.
func (a *Audit) inspect(ctx context.Context, order []int32, s Store, opt Options, f *tally) error {
	if s.Err != nil {
		return s.Err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := lists{records: s.Records(ctx), foreign: f.foreign}
	if opt.From == Listing {
		l.objects = s.Bucket.List(ctx, store.BlobPrefix, "")
	}
	var asks errgroup.Group
	asks.SetLimit(opt.Parallel)
	var silent atomic.Int32 // spot checks without an answer
	var failed error
	for r, err := range rows(a.needs, order, l) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			failed = fmt.Errorf("read what %s has: %w", s.Name, err)
			if errors.Is(err, store.ErrListing) {
				failed = fmt.Errorf("%w; until then, to look from %q needs no listing", failed, Head)
			}
			break
		}
		f.row(r)
		opt.Progress.Compared.Add(1)
		spot := silent.Load() < maxSilent && opt.spots(r, len(a.needs.blobs))
		if !spot && !opt.asks(r) {
			class, detail := a.judge(&r, false)
			f.add(r, class, detail)
			continue
		}
		asks.Go(func() error {
			class, detail := a.ask(ctx, s, &r, opt, f)
			if spot && class == Unknown {
				silent.Add(1)
				class, detail = a.judge(&r, false)
			}
			f.add(r, class, detail)
			return nil
		})
	}
	return errors.Join(failed, asks.Wait())
}

// judge decides from the sizes of a row, and learns from them. proven means that the object has the digest, so its size
// is the blob's size.
func (a *Audit) judge(r *row, proven bool) (Class, string) {
	settled := proven && r.blob >= 0 && r.object >= 0
	if settled {
		r.want = r.object
	} else {
		*r, settled = a.needs.settle(*r)
	}
	if settled {
		a.truths.learn(r.blob, r.want, proven)
	}
	return r.judge()
}

// asks reports whether the audit must request the object of a row.
func (o Options) asks(r row) bool {
	switch class, _ := r.judge(); {
	case r.object == absent && r.record == absent:
		return false // the listing says so
	case o.From == Listing && (class == Lost || class == Short || class == Disputed || class == Unreadable):
		return true // otherwise a repair would withdraw it because of a listing alone
	case o.Deep && r.want == absent && r.record == absent:
		return false // no client is ever sent there
	case !o.Deep && (o.From != Head || r.want == absent):
		return false
	}
	return o.Sample >= 100 || rand.Float64()*100 < o.Sample
}

// maxSilent is how many spot checks without an answer end the spot checks of a store. A store that cannot be reached
// from here should not cause a hundred waits.
const maxSilent = 3

// spots reports whether the object of a row is one of the few spot checks. needed is how many blobs images need.
func (o Options) spots(r row, needed int) bool {
	return o.Spot > 0 && r.want != absent && r.record != absent && rand.IntN(needed) < o.Spot
}
