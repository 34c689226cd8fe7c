package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/ledger"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
	"ociproxy/internal/walk"
)

// item is one promotion in work.
type item struct {
	*promote.Promotion
	run     *Run
	sites   []*site
	closure *walk.Closure
	fresh   bool // a store got a part of it in this run
}

// site is one destination of an item.
type site struct {
	promote.Target
	host *host
	repo string // without the host

	mu   sync.Mutex
	err  error         // nothing more is done here
	tags []promote.Tag // still to set
}

// parallelSites bounds the destinations of one image that are in work at once. Budgets bound the requests.
const parallelSites = 32

func (r *Run) newItem(p *promote.Promotion) *item {
	it := &item{Promotion: p, run: r}
	for _, t := range p.To {
		host, repo, _ := promote.SplitRepository(t.Repository)
		it.sites = append(it.sites, &site{Target: t, host: r.hosts[host], repo: repo, tags: t.Tags})
	}
	r.tally.add(&r.tally.begun, 1)
	return it
}

// end is called once for each item.
func (it *item) end() { it.run.tally.add(&it.run.tally.ended, 1) }

// copy brings everything except the tags where it belongs. It reports whether there is still something to tag.
func (it *item) copy(ctx context.Context) bool {
	if it.run.opt.Before != nil {
		if err := it.run.opt.Before(ctx, it.Promotion); err != nil {
			it.failAll(ctx, promote.Policy, it.From, err)
			return false
		}
	}
	if !it.run.opt.Fresh {
		it.each(ctx, it.compare)
	}
	if !it.alive() || !it.read(ctx) {
		return false
	}
	it.each(ctx, it.complete)
	it.blobs(ctx)
	if !it.alive() || !it.stored(ctx, nil) {
		return false
	}
	it.each(ctx, it.manifests)
	if it.run.opt.Placed != nil && it.alive() {
		var to []string
		for _, s := range it.living() {
			to = append(to, s.Repository)
		}
		signed, err := it.run.opt.Placed(ctx, it.Promotion, to)
		if signed || err != nil {
			it.run.log.add(Entry{Action: Signed, Repository: it.Canonical, Digest: it.Digest}, err)
		}
		if err != nil {
			it.failAll(ctx, promote.Policy, it.From, err)
		}
	}
	if !it.alive() || ctx.Err() != nil {
		return false
	}
	it.trim()
	it.run.tally.add(&it.run.tally.copied, 1)
	return true
}

// living returns the sites without a failure.
func (it *item) living() (out []*site) {
	for _, s := range it.sites {
		if s.failed() == nil {
			out = append(out, s)
		}
	}
	return out
}

func (it *item) alive() bool { return len(it.living()) > 0 }

func (s *site) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// each calls work for all living sites, several at once.
func (it *item) each(ctx context.Context, work func(context.Context, *site)) {
	var g errgroup.Group
	g.SetLimit(parallelSites)
	for _, s := range it.living() {
		g.Go(func() error {
			if err := s.host.answers.err(); err != nil {
				it.fail(ctx, s, promote.Registry, err)
				return nil
			}
			work(ctx, s)
			return nil
		})
	}
	_ = g.Wait() // each site keeps its own error
}

// fail ends the work on one site. The end of the run is not a failure.
func (it *item) fail(ctx context.Context, s *site, class promote.Class, err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	left := int64(len(s.tags))
	s.mu.Unlock()
	if len(s.Tags) == 0 {
		left = 1
	}
	if ctx.Err() != nil {
		return
	}
	it.run.tally.fail(it.failure(class, s.Repository, left, err))
}

func (it *item) failure(class promote.Class, repository string, edges int64, err error) *promote.Failure {
	return &promote.Failure{
		Class: class, Project: it.Project, Image: it.Image, Repository: repository, Digest: it.Digest, Message: err.Error(), Edges: edges,
	}
}

// failAll ends the work on all sites for one common reason.
func (it *item) failAll(ctx context.Context, class promote.Class, where string, err error) {
	var left int64
	for _, s := range it.living() {
		s.mu.Lock()
		s.err = err
		left += int64(len(s.tags))
		if len(s.Tags) == 0 {
			left++
		}
		s.mu.Unlock()
	}
	if ctx.Err() == nil && left > 0 {
		it.run.tally.fail(it.failure(class, where, left, err))
	}
}

// compare checks that tags are still what the plan saw; for others it writes nothing. Tags that are in place need
// nothing.
func (it *item) compare(ctx context.Context, s *site) {
	var keep []promote.Tag
	for _, t := range s.tags {
		found, err := it.resolve(ctx, s, t.Name)
		switch {
		case err != nil:
			it.fail(ctx, s, promote.Registry, err)
			return
		case found == it.Digest: // set by an earlier run, which had done everything else before
			it.run.tally.inPlace(1)
		case t.Merge, found == t.Was, promote.MergedTag(t.Name):
			keep = append(keep, t)
		default:
			it.moved(s, t, found)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags = keep
	if len(s.Tags) > 0 && len(keep) == 0 {
		s.err = errNothingLeft
	}
}

// errNothingLeft says that all tags of a site are in place, or were changed since the plan was made.
var errNothingLeft = errors.New("no tag is left to be set")

// moved records that one tag is not what the plan says.
func (it *item) moved(s *site, t promote.Tag, found oci.Digest) {
	was := "did not exist"
	if !t.Was.IsZero() {
		was = "was " + t.Was.String()
	}
	is := "it does not exist"
	if !found.IsZero() {
		is = "it is " + found.String()
	}
	f := it.failure(promote.TagMoved, s.Repository, 1, fmt.Errorf("the tag %s when the plan was made, now %s: plan again", was, is))
	f.Tag, f.Found = t.Name, found
	it.run.tally.fail(f)
}

// resolve returns the digest of a tag at a site; zero: there is no such tag.
func (it *item) resolve(ctx context.Context, s *site, tag string) (oci.Digest, error) {
	d, err := s.host.reg.Resolve(ctx, s.repo, tag)
	s.host.answers.note(err)
	if errors.Is(err, registry.ErrNotFound) {
		return oci.Digest{}, nil
	}
	return d.Digest, err
}

// read finds out what belongs to the image.
func (it *item) read(ctx context.Context) bool {
	var err error
	if it.closure, err = it.run.closureOf(ctx, it.From, it.Digest); err == nil {
		return true
	}
	class := promote.Registry
	switch {
	case errors.Is(err, walk.ErrDenied):
		class = promote.Policy
	case errors.Is(err, registry.ErrNotFound):
		class = promote.SourceGone
	}
	it.failAll(ctx, class, it.From, err)
	return false
}

// complete checks whether a site that has the image also has everything that refers to it, which may have come later.
// If something is missing, the run copies all of it again: what is there already costs a request each.
func (it *item) complete(ctx context.Context, s *site) {
	if s.Copy {
		return
	}
	for _, d := range it.aside() {
		_, err := s.host.reg.Resolve(ctx, s.repo, d.String())
		s.host.answers.note(err)
		switch {
		case errors.Is(err, registry.ErrNotFound):
			s.Copy = true
			return
		case err != nil:
			it.fail(ctx, s, promote.Registry, err)
			return
		}
	}
}

// stored decides whether enough stores hold the image. lost says which inventories could not be written.
func (it *item) stored(ctx context.Context, lost map[int]error) bool {
	r := it.run
	all := len(r.targets.Stores)
	if all == 0 || !it.alive() {
		return it.alive()
	}
	missing := r.aside.stores()
	var why error
	for _, b := range it.closure.Blobs {
		if b.Digest.InStores() {
			lacks := r.targets.Ledger.Lacking(b.Digest)
			missing.Or(&lacks)
		}
	}
	for i := range all {
		if r.targets.Ledger.Fault(i) != nil || lost[i] != nil {
			missing.Add(i)
		}
	}
	have := all
	missing.Each(func(i int) {
		have--
		if err := r.storeError(i); err != nil {
			if !errors.Is(err, ledger.ErrUnusable) { // which names the store already
				err = fmt.Errorf("store %s: %w", r.targets.Stores[i].Name(), err)
			}
			why = errors.Join(why, err)
		}
	})
	if need := r.opt.Require.least(all); have < need {
		err := fmt.Errorf("%d of %d stores have it; %s are required", have, all, r.opt.Require)
		if why != nil {
			err = fmt.Errorf("%w: %w", err, why)
		}
		it.failAll(ctx, promote.Store, it.From, err)
		return false
	}
	if lost != nil { // the second call: now it counts
		r.behind(&missing)
	}
	return true
}

// behind counts an image that is promoted without some stores.
func (r *Run) behind(missing *set.Set) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	missing.Each(func(i int) { r.tally.behind[i]++ })
}

// storeError returns what is wrong with a store; nil: nothing is known.
func (r *Run) storeError(i int) error {
	if err := r.aside.err(i); err != nil {
		return err
	}
	if err := r.targets.Ledger.Fault(i); err != nil {
		return err
	}
	if s := r.targets.Transfers(); i < len(s.Targets) {
		return s.Targets[i].TrippedBy
	}
	return nil
}
