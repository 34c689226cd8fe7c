package audit

import (
	"cmp"
	"slices"
	"sync"

	"ociproxy/internal/store"
)

// tally collects what is wrong in one store. It is safe for concurrent use.
type tally struct {
	needs   *needs
	index   int
	opt     Options
	partial bool

	mu      sync.Mutex
	report  StoreReport
	list    []Finding
	omitted int64
	faults  []fault
	broken  map[int32]bool
}

func newTally(n *needs, index int, name string, opt Options) *tally {
	return &tally{needs: n, index: index, opt: opt, broken: map[int32]bool{},
		report: StoreReport{Name: name, Found: map[Class]Totals{}}}
}

// row counts what the store says it holds.
func (f *tally) row(r row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := r.object
	if f.opt.From != Listing {
		size = r.record
	}
	if size != absent {
		f.report.Held.add(size)
	}
}

// foreign adds an object whose key is not a digest.
func (f *tally) foreign(a store.Attrs) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep(Finding{Class: Unexpected, Key: a.Key, Size: &a.Size, Detail: "its name is no digest", blob: -1}, a.Size)
}

// looked counts an object that was requested. read is how many of its bytes were hashed, negative for none.
func (f *tally) looked(read int64) {
	f.opt.Progress.Asked.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.Asked++
	if read >= 0 {
		f.report.Read.add(read)
	}
}

// add adds the verdict on one row; an empty class is no finding.
func (f *tally) add(r row, c Class, detail string) {
	if c == "" || c == Unexpected && (f.partial && !f.opt.Denied(r.digest) || slices.Contains(f.opt.Kept, r.digest)) {
		return
	}
	if r.want == absent && f.opt.Denied(r.digest) {
		detail += "; the config denies it: purge removes it"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	size := r.want
	for _, other := range []int64{r.object, r.record} {
		if size < 0 {
			size = other
		}
	}
	out := Finding{Class: c, Digest: r.digest.String(), Detail: detail, blob: r.blob}
	if size >= 0 {
		out.Size = &size
	}
	if r.blob >= 0 {
		img := f.needs.images[f.needs.blobs[r.blob].image]
		out.Repository, out.Image = f.needs.repos.names[img.repository], img.digest.String()
		if c.breaks() {
			f.broken[r.blob] = true
		}
	}
	if c != Unexpected && c != Unknown {
		f.faults = append(f.faults, fault{
			store: f.index, class: c, digest: r.digest, blob: r.blob, record: r.record != absent, listed: r.record, size: size,
		})
	}
	if c != Unexpected {
		f.opt.Progress.Found.Add(1)
	}
	f.keep(out, size)
}

// keep counts a finding, and lists it while there are few. The caller holds the lock.
func (f *tally) keep(out Finding, size int64) {
	sum := f.report.Found[out.Class]
	sum.add(size)
	f.report.Found[out.Class] = sum
	out.Store = f.report.Name
	if f.opt.Limit > 0 && sum.Blobs > int64(f.opt.Limit) {
		f.omitted++
		return
	}
	f.list = append(f.list, out)
}

// finish sorts the list, worst first, and counts the images.
func (f *tally) finish() {
	rank := map[Class]int{}
	for i, c := range Classes() {
		rank[c] = i
	}
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		return cmp.Or(rank[a.Class]-rank[b.Class], cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Key, b.Key))
	})
	slices.SortFunc(f.faults, func(a, b fault) int { return cmp.Compare(a.digest.String(), b.digest.String()) })
	f.report.Broken = f.needs.incomplete(f.broken)
	if f.report.Error == "" {
		f.report.Whole = len(f.needs.images) - f.report.Broken
	}
}
