package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// Ledger changes the inventories of the stores. The stores have the same numbers as in the audit.
type Ledger interface {
	// Remove removes digests from a store's inventory; durable on return.
	Remove(ctx context.Context, store int, digests ...oci.Digest) error
	// Add adds records to a store's inventory; durable after Flush.
	Add(ctx context.Context, store int, records ...inventory.Record) error
	// Flush makes the added records durable, and returns an error, or nil, for each store.
	Flush(ctx context.Context) []error
}

// RepairOptions are the options of [Audit.Repair].
type RepairOptions struct {
	Ledger Ledger
	// Source opens a blob of a repository at an offset.
	Source func(ctx context.Context, repository string, d oci.Digest, off int64) (io.ReadCloser, error)
	// Prepare is called before writes to a store. If it fails, nothing is written there; nil means that there is
	// nothing to prepare.
	Prepare func(ctx context.Context, store int) error
	// Dir is the directory for one file of each blob in progress; "" is the system's.
	Dir string
	// Parallel is how many blobs are repaired at once; 0 means 4.
	Parallel int
	// DryRun only counts what a repair would do.
	DryRun bool
}

// Repair fixes the findings. It fetches missing, lost, short, corrupt and unreadable blobs from the source, or else
// from a store that has them complete, and writes them again. It reads unlisted blobs and lists them. It leaves
// unexpected blobs alone. If anonymous clients still do not get a blob after it was written again, Repair does not list
// it again: a rule of the bucket, or a cache, is at fault.
//
// A size that differs from the manifest's may be an error of the manifest. So Repair reads such an object before it
// does anything about it, and the object stays listed if it has its digest. For all other findings, the order is as
// follows. First the inventory stops listing what is wrong, so that no client is sent there. Then Repair puts the
// object, over exactly the version that it checked. Then it lists the object again. So a repair that is killed leaves a
// store that has less than it could and claims nothing wrong; the next pass of a mirror, or the next repair, completes
// it. If another writer changed an object in the meantime, Repair checks it again. Repair completes the report. It
// returns an error only if ctx ends.
func (a *Audit) Repair(ctx context.Context, opt RepairOptions, p *Progress) error {
	if opt.Parallel <= 0 {
		opt.Parallel = 4
	}
	r := &repair{a: a, opt: opt, progress: p, done: map[at]bool{}, failed: map[int]error{}, right: map[at]int64{},
		report: RepairReport{DryRun: opt.DryRun, Errors: []string{}}}
	a.Report.Repair = &r.report
	if opt.DryRun {
		r.plan()
	} else {
		r.prove(ctx)
		jobs := r.plan()
		r.withdraw(ctx)
		r.mendAll(ctx, jobs)
		r.flush(ctx)
	}
	repaired := map[Class]int64{}
	for _, f := range a.faults {
		if r.done[at{f.store, f.digest}] {
			repaired[f.class]++
			r.report.Repaired.add(f.size)
		}
	}
	for i := range a.Report.Findings {
		f := &a.Report.Findings[i]
		d, err := oci.ParseDigest(f.Digest)
		s := slices.IndexFunc(a.stores, func(s Store) bool { return s.Name == f.Store })
		f.Repaired = err == nil && f.Class.mendable() && r.done[at{s, d}]
		if _, right := r.right[at{s, d}]; right && err == nil && (f.Class == Short || f.Class == Disputed) {
			f.Detail += "; its bytes have the digest"
		}
	}
	a.Report.Source.Misstated, a.Report.Source.Wrong = a.needs.misstated(&a.truths, a.limit)
	a.Report.ExitCode = a.Report.code(repaired)
	return ctx.Err()
}

func (c Class) mendable() bool {
	switch c {
	case Lost, Missing, Corrupt, Short, Disputed, Unreadable, Unlisted:
		return true
	case Unexpected, Unknown:
	}
	return false
}

// at is one blob in one store.
type at struct {
	store  int
	digest oci.Digest
}

// job is one blob that some stores need.
type job struct {
	digest       oci.Digest
	repositories []string // of images that need it
	size         int64    // notKnown if no manifest states it
	stores       []int
}

type repair struct {
	a        *Audit
	opt      RepairOptions
	progress *Progress

	mu     sync.Mutex
	report RepairReport
	done   map[at]bool
	failed map[int]error // stores that the repair leaves alone
	right  map[at]int64  // sizes of objects that have their digest, but not the size that a manifest states
}

// plan groups by blob what can be repaired, so that each blob is read once for all stores. A blob that no image needs
// is only withdrawn.
func (r *repair) plan() []job {
	var jobs []job
	index, blobs := map[oci.Digest]int{}, map[int32]int{}
	for _, f := range r.a.faults {
		if !f.class.mendable() || r.isRight(f) {
			continue
		}
		r.report.Planned.add(f.size)
		if f.blob < 0 {
			continue
		}
		i, ok := index[f.digest]
		if !ok {
			n := r.a.needs
			need := n.blobs[f.blob]
			i = len(jobs)
			index[f.digest] = i
			jobs = append(jobs, job{digest: f.digest, size: need.size})
			blobs[f.blob] = i
		}
		jobs[i].stores = append(jobs[i].stores, f.store)
	}
	for _, l := range r.a.needs.links { // one repository may refuse what another one gives
		if i, ok := blobs[l.blob]; ok {
			name := r.a.needs.repos.names[r.a.needs.images[l.image].repository]
			if !slices.Contains(jobs[i].repositories, name) {
				jobs[i].repositories = append(jobs[i].repositories, name)
			}
		}
	}
	return jobs
}

// prove reads objects whose size differs from a manifest's, and remembers those that have their digest nevertheless. If
// an inventory lists such an object with a wrong size, prove lists it again.
func (r *repair) prove(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(r.opt.Parallel)
	for _, f := range r.a.faults {
		if f.class != Short && f.class != Disputed || f.blob < 0 || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			_, right, err := r.asItIs(ctx, f.digest, f.store)
			if err != nil || right == nil {
				return nil // mend finds out what is there
			}
			r.a.truths.learn(f.blob, right.Size, true)
			if f.record && f.listed != right.Size {
				if err = r.prepare(ctx, f.store); err == nil {
					err = r.opt.Ledger.Add(ctx, f.store, *right)
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			k := at{f.store, f.digest}
			r.right[k] = right.Size
			switch {
			case err != nil:
				r.note(fmt.Errorf("%s: %s: %w", r.a.stores[f.store].Name, f.digest, err))
			case f.record && f.listed != right.Size:
				r.done[k] = true
				r.report.Planned.add(right.Size)
				r.progress.Repaired.Add(1)
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return nil
}

// isRight reports whether a fault turned out not to be the store's.
func (r *repair) isRight(f fault) bool {
	_, right := r.right[at{f.store, f.digest}]
	return right
}

// withdraw removes wrong records from the inventories.
func (r *repair) withdraw(ctx context.Context) {
	wrong := map[int][]oci.Digest{}
	for _, f := range r.a.faults {
		if f.class.mendable() && f.record && !r.isRight(f) {
			wrong[f.store] = append(wrong[f.store], f.digest)
		}
	}
	for i, digests := range wrong {
		err := r.prepare(ctx, i)
		if err == nil {
			err = r.opt.Ledger.Remove(ctx, i, digests...)
		}
		if err != nil {
			r.giveUp(i, err)
		}
	}
	for _, f := range r.a.faults {
		if f.blob < 0 && f.record && f.class.mendable() && r.failed[f.store] == nil {
			r.done[at{f.store, f.digest}] = true // no longer listed: nothing else to do
		}
	}
}

// prepare makes sure that a store may be written to. If the store failed before, it returns that failure.
func (r *repair) prepare(ctx context.Context, i int) error {
	r.mu.Lock()
	err := r.failed[i]
	r.mu.Unlock()
	if err == nil && r.opt.Prepare != nil {
		err = r.opt.Prepare(ctx, i)
	}
	return err
}

// giveUp records why the repair leaves a store alone.
func (r *repair) giveUp(i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed[i] == nil {
		r.failed[i] = err
		r.note(fmt.Errorf("%s: %w", r.a.stores[i].Name, err))
	}
}

// note records an error. The caller holds the lock.
func (r *repair) note(err error) {
	r.report.Failed++
	if len(r.report.Errors) < maxErrors {
		r.report.Errors = append(r.report.Errors, err.Error())
	}
}

func (r *repair) mendAll(ctx context.Context, jobs []job) {
	var g errgroup.Group
	g.SetLimit(r.opt.Parallel)
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			r.mend(ctx, j)
			return nil
		})
	}
	_ = g.Wait() // the functions return nil
}

// mend brings one blob into the stores of its job.
func (r *repair) mend(ctx context.Context, j job) {
	s := spool{dir: r.opt.Dir, progress: r.progress}
	defer s.close()
	for _, i := range j.stores {
		err := r.prepare(ctx, i)
		if err == nil {
			err = r.mendIn(ctx, j, i, &s)
		}
		r.mu.Lock()
		if err != nil {
			r.note(fmt.Errorf("%s: %s: %w", r.a.stores[i].Name, j.digest, err))
		} else {
			r.done[at{i, j.digest}] = true
			r.progress.Repaired.Add(1)
		}
		r.mu.Unlock()
	}
}

// putAttempts is how often mendIn tries to put an object if another writer changes it.
const putAttempts = 3

// mendIn makes sure that one store has the blob, complete and readable for anonymous clients, and lists it.
func (r *repair) mendIn(ctx context.Context, j job, i int, s *spool) (err error) {
	b := r.a.stores[i].Bucket
	key := store.BlobKey(j.digest)
	for range putAttempts {
		version, good, err := r.asItIs(ctx, j.digest, i)
		if err != nil {
			return err
		}
		if good != nil {
			return r.opt.Ledger.Add(ctx, i, *good)
		}
		if err := s.fill(ctx, j.digest, j.size, r.origins(j)); err != nil {
			return err
		}
		_, err = store.Replace(ctx, b, key, s.content(), store.BlobHeader, version)
		if err == nil {
			r.mu.Lock()
			r.report.Written.add(s.size)
			r.mu.Unlock()
			if version != "" {
				if err := r.shown(ctx, j.digest, i, s.size); err != nil {
					return fmt.Errorf("written again, but not listed: %w; a cache in front may have to forget it, or a rule "+
						"of the bucket keeps anonymous clients out", err)
				}
			}
			return r.opt.Ledger.Add(ctx, i, inventory.Record{Digest: j.digest, Size: s.size, Kind: inventory.Blob})
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return store.ErrConflict
}

// asItIs reads a blob in a store, as its owner and as an anonymous client. For a good blob, it returns the record for
// it. Otherwise it returns the version of the object to replace, "" if there is none.
func (r *repair) asItIs(ctx context.Context, d oci.Digest, i int) (version string, good *inventory.Record, err error) {
	b := r.a.stores[i].Bucket
	key := store.BlobKey(d)
	attrs, sum, err := readObject(ctx, b, key, d, r.progress)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil, nil
	case err != nil: // it cannot be read completely, but its version may be known
		if attrs, err = b.Head(ctx, key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", nil, err
		}
	case sum == d.Hex() && attrs.Altered() == "":
		err = r.shown(ctx, d, i, attrs.Size)
		if err == nil {
			return "", &inventory.Record{Digest: d, Size: attrs.Size, Kind: inventory.Blob}, nil
		}
		if !errors.Is(err, store.ErrHidden) {
			return "", nil, err
		}
	}
	return attrs.Version, nil, nil
}

// shown returns nil if anonymous clients get a blob of a store.
func (r *repair) shown(ctx context.Context, d oci.Digest, i int, size int64) error {
	return r.a.stores[i].public(r.a.client).Look(ctx, d, size)
}

// origins returns the places from which a complete blob may be read, the source first. The stores to be repaired come
// last: they may have the right bytes although clients do not get them.
func (r *repair) origins(j job) []origin {
	var list []origin
	for _, repository := range j.repositories {
		list = append(list, func(ctx context.Context, off int64) (io.ReadCloser, error) {
			return r.opt.Source(ctx, repository, j.digest, off)
		})
	}
	read := func(s Store) {
		if s.Err == nil {
			list = append(list, func(ctx context.Context, off int64) (io.ReadCloser, error) {
				body, _, err := s.Bucket.Get(ctx, store.BlobKey(j.digest), off, -1)
				return body, err
			})
		}
	}
	for i, s := range r.a.stores {
		if !slices.Contains(j.stores, i) {
			read(s)
		}
	}
	for _, i := range j.stores {
		read(r.a.stores[i])
	}
	return list
}

// flush makes the new records durable. What is not durable does not count as repaired.
func (r *repair) flush(ctx context.Context) {
	for i, err := range r.opt.Ledger.Flush(ctx) {
		if err == nil {
			continue
		}
		r.giveUp(i, err)
		for k := range r.done {
			if k.store == i {
				delete(r.done, k)
			}
		}
	}
}
