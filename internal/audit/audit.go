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

// From is where what stores have is learnt.
type From string

// The sources of knowledge, cheapest first.
const (
	Inventory From = "inventory" // what the stores' inventories say: no request for an object
	Listing   From = "listing"   // the buckets' listings, beside the inventories
	Head      From = "head"      // a question about each needed object, or a sample of them: by its owner and by the public
)

// Store is one store as an audit sees it.
type Store struct {
	Name   string
	Bucket store.Bucket
	// Records are what the inventory lists, ascending by digest, sha256 first; the last pair may be an error.
	Records func(context.Context) iter.Seq2[inventory.Record, error]
	// URL of a blob as the public reads it, with {digest} in it; "" where there is none: nobody asks.
	URL string
	// Err says why the store cannot be looked at; nil when it can.
	Err error
}

// Options of [Run].
type Options struct {
	From From
	// Deep reads and hashes objects: those that images need and those that the inventory lists. It asks as the public, too.
	Deep bool
	// Spot is how many of the needed blobs that the inventory lists, about, are looked at in each store, chosen at random, when nothing
	// else looks at single objects; all of them where there are no more. What cannot be looked at then is no finding.
	Spot int
	// Sample is the percentage of blobs that Head and Deep look at, chosen at random; 0 is 100.
	Sample float64
	// Partial says that the images are not all there are: nothing is unexpected then.
	Partial bool
	// Kept are digests that belong in every store though no image needs them: what a mirror probes with.
	Kept []oci.Digest
	// Denied are digests that no store should have. nil denies none.
	Denied func(oci.Digest) bool
	// Limit bounds the findings that are listed of one class in one store; 0 lists all. Repair knows all.
	Limit int
	// Parallel is how many objects of one store are looked at, at once; 0 is 8.
	Parallel int
	// Client asks as the public; nil is one of this package's, which is bounded and follows no redirect.
	Client *http.Client
	// Progress is counted up; nil when nobody watches.
	Progress *Progress
}

// Progress counts what has been done. It may be read at any time.
type Progress struct {
	Images    atomic.Int64 // walked
	Failed    atomic.Int64 // images or repositories that could not be read
	Compared  atomic.Int64 // rows, each store counted
	Asked     atomic.Int64 // objects asked for or read
	ReadBytes atomic.Int64 // of objects
	Found     atomic.Int64 // findings but unexpected ones
	Repaired  atomic.Int64
}

// Audit is a finished audit: its report, and what [Audit.Repair] needs to make good what was found.
type Audit struct {
	Report *Report
	needs  *needs
	truths truths
	stores []Store
	client *http.Client // as strangers ask
	faults []fault
	limit  int
}

// What a report lists at most.
const (
	maxErrors   = 20 // texts
	maxVanished = 1000
)

// Run walks images to its end and compares. An error about one image is counted and does not end the walk; only the end of ctx makes Run
// fail. A store that cannot be read to the end is reported as such beside the others.
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

// walk learns what images need.
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

// inspect compares one store.
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
	var silent atomic.Int32 // spots that nobody answered for
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

// judge says what the sizes of a row tell, and learns from them; proven: the object has the digest, so that its size
// is the blob's.
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

// asks reports whether the object of a row is to be looked at itself.
func (o Options) asks(r row) bool {
	switch class, _ := r.judge(); {
	case r.object == absent && r.record == absent:
		return false // the listing says so
	case o.From == Listing && (class == Lost || class == Short || class == Disputed || class == Unreadable):
		return true // a repair would withdraw it, on a listing's word alone
	case o.Deep && r.want == absent && r.record == absent:
		return false // nobody is ever sent there
	case !o.Deep && (o.From != Head || r.want == absent):
		return false
	}
	return o.Sample >= 100 || rand.Float64()*100 < o.Sample
}

// maxSilent is how many spots without an answer end them: nobody waits a hundred times for what cannot be reached from here.
const maxSilent = 3

// spots reports whether the object of a row is among the few that are looked at anyway, of so many that are needed.
func (o Options) spots(r row, needed int) bool {
	return o.Spot > 0 && r.want != absent && r.record != absent && rand.IntN(needed) < o.Spot
}
