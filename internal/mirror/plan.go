package mirror

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/targets"
	"ociproxy/internal/walk"
)

// Plan is what a pass would do: the JSON document of oci-proxyctl mirror --dry-run. Fields are only added.
//
// Costs are those of bytes that leave a place, by the price table or the config. They assume that the mirror runs
// where the source is: reading the source is free, each upload leaves that place, and copies leave the store they
// come from. They are estimates: all bytes at the tier of route.monthlyTB. The costs of requests and storage are not included, but the numbers to compute them are.
type Plan struct {
	Shard   string       `json:"shard,omitempty"`
	Images  ImagesReport `json:"images"`
	Skipped int64        `json:"skipped"` // blobs that are not to be distributed, denied, or of another algorithm
	Others  int64        `json:"others"`  // blobs left to other shards
	// Blobs and Bytes are read from the source, each once.
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Requests to the source that the copying needs. The walk for this plan made its own requests; a pass makes those
	// again.
	Requests     int64           `json:"requests"`
	WalkRequests int64           `json:"walkRequests"`
	Stores       []StorePlan     `json:"stores"`
	Cents        float64         `json:"cents"`   // US cents, of all stores: an estimate at the price of the next bytes
	Seconds      float64         `json:"seconds"` // at the least, by requestsPerSecond and bandwidthMBps; lines and stores may be slower
	Problems     []Problem       `json:"problems"`
	Errors       map[Class]int64 `json:"errors"`
	// LeftOut has the first of the skipped blobs, and of what is listed and gone; Vanished counts the latter.
	LeftOut  []Skipped `json:"leftOut"`
	Vanished int64     `json:"vanished"`
	// Result is how a pass would end as far as is known: done, partial, or failed when there is nothing that it could
	// do.
	Result Result `json:"result"`
	Error  string `json:"error,omitempty"` // the source could not be walked to its end, or no store can be written to
}

// StorePlan is one store's part.
type StorePlan struct {
	Name     string  `json:"name"`
	Blobs    int64   `json:"blobs"`
	Bytes    int64   `json:"bytes"`
	Uploaded int64   `json:"bytesUploaded"`
	Copied   int64   `json:"bytesCopied"`
	Requests int64   `json:"requests"` // that write
	Cents    float64 `json:"cents"`    // US cents
	Estimate bool    `json:"estimate"` // no price list says what the bytes cost
	Basis    string  `json:"basis"`    // what the price of uploads rests on
	Error    string  `json:"error,omitempty"`
}

// planner is the visitor that only counts.
type planner struct {
	notes
	src     *walk.Source
	targets *targets.Set
	opt     Options

	whole  []bool   // by store: some image is complete there
	faults []error  // by store: why it cannot be used
	groups []string // by store: whom it copies from; "" nobody

	mu     sync.Mutex
	seen   map[walk.Key]lot
	late   map[image]bool // whose blob turned out to have another size when they may have been done; true: they had failed
	blobs  int64
	bytes  int64
	asked  atomic.Int64 // blobs whose size had to be asked for
	stores []volume
	copies map[[2]int]int64 // bytes that a store gets from another
}

// volume is what one store would get.
type volume struct{ blobs, bytes, uploaded, copied, requests int64 }

// MakePlan walks the source as a pass does and adds up what a pass would do. It writes nothing. Expected failures are
// in the plan, as in a pass's report: stores that cannot be used, and what cannot be read. When no store can be used,
// it does not walk the source: there is nothing to plan.
func MakePlan(ctx context.Context, cfg *config.Config, src *walk.Source, f *targets.Set, opt Options) (*Plan, error) {
	p := &planner{
		src: src, targets: f, opt: opt, seen: map[walk.Key]lot{}, late: map[image]bool{}, copies: map[[2]int]int64{},
		stores: make([]volume, len(f.Stores)), whole: make([]bool, len(f.Stores)),
	}
	for _, s := range f.Stores {
		_, copier := s.Bucket.(store.Copier)
		group := ""
		if copier && cfg.Mirror.Copy == config.CopyAuto {
			group = s.Group()
		}
		p.groups = append(p.groups, group)
	}
	for i, s := range f.Stores {
		if err := f.Ledger.Fault(i); err != nil {
			p.notes.problem(storeFault(s.Name(), err))
		}
	}
	w := walk.New(src, p)
	if usable := f.Ledger.Usable(); usable.Empty() {
		p.look(ctx)
		plan := p.plan(cfg, w)
		plan.Result, plan.Error = Failed, ErrNoUsable.Error()
		return plan, nil
	}
	before, _, _ := src.Registry.Budget().Stats()
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := w.Walk(work, stop)
	w.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if met, _ := w.Counts(); err != nil && met == 0 && len(p.errors) == 0 {
		return nil, err
	}
	after, _, _ := src.Registry.Budget().Stats()
	p.look(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	plan := p.plan(cfg, w)
	plan.WalkRequests = after - before
	plan.Seconds = least(cfg.Mirror, plan)
	if err != nil {
		plan.Error = oneLine(err.Error())
	}
	switch {
	case len(plan.Errors) == 0 && err == nil:
		plan.Result = Done
	case plan.Images.Known > 0 || plan.Blobs > 0 || p.foundSome() || p.repositories.Load() > 0 && p.listed.Load() == 0:
		plan.Result = Partial
	default:
		plan.Result = Failed
	}
	return plan, nil
}

// foundSome reports whether an image is complete in a store that can be used.
func (p *planner) foundSome() bool {
	for i, whole := range p.whole {
		if whole && p.faults[i] == nil {
			return true
		}
	}
	return false
}

// look finds out which of the stores that would get something can be written, as far as that is possible without
// writing. It removes the others: a pass would leave them alone.
func (p *planner) look(ctx context.Context) {
	p.faults = make([]error, len(p.targets.Stores))
	var all sync.WaitGroup
	for i := range p.targets.Stores {
		p.faults[i] = p.targets.Ledger.Fault(i)
		if p.stores[i].blobs > 0 {
			all.Go(func() { p.faults[i] = p.targets.Look(ctx, i) })
		}
	}
	all.Wait()
	some := false
	for i, s := range p.targets.Stores {
		if err := p.faults[i]; err != nil && p.targets.Ledger.Fault(i) == nil {
			p.notes.problem(Problem{Class: classOf(err, StoreFailed), Store: s.Name(), Error: err.Error()})
			p.stores[i] = volume{}
		}
		some = some || p.stores[i].blobs > 0
	}
	if !some {
		p.blobs, p.bytes = 0, 0
	}
}

func (p *planner) Known(d oci.Digest) bool {
	lacks := p.targets.Ledger.Incomplete(d)
	return lacks.Empty() && !p.opt.Full
}

func (p *planner) Ripe(oci.Digest) bool { return false }

func (p *planner) Listed(_ string, images int) {
	p.repositories.Add(1)
	p.listed.Add(int64(images))
}

func (p *planner) Problem(repo, ref string, err error) {
	p.notes.problem(Problem{Class: classOf(err, SourceFailed), Repository: repo, Reference: ref, Error: err.Error()})
}

func (p *planner) Finished(n *walk.Node) {
	p.mu.Lock()
	for i := range p.targets.Stores {
		p.whole[i] = p.whole[i] || p.targets.Ledger.Complete(i, n.Digest)
	}
	if by := (image{n.Repository, n.Digest}); n.Failed() {
		if _, ok := p.late[by]; ok {
			p.late[by] = true
		}
	}
	p.mu.Unlock()
	switch {
	case n.Failed():
		p.failed.Add(1)
	case n.Partial():
		p.denied.Add(1)
	}
}

func (p *planner) Blob(ctx context.Context, n *walk.Node, b registry.Descriptor) {
	switch need := p.targets.Ledger.Lacking(b.Digest); {
	case p.src.Denied(b.Digest):
		n.Deny()
		p.Skipped(n.Repository, b, walk.Denied)
	case !b.Digest.InStores():
		p.Skipped(n.Repository, b, "stores hold sha256 and sha512 only")
	case need.Empty():
		p.compare(n, b.Digest, b.Size, heldSize(p.targets, b.Digest))
	default:
		p.lack(ctx, n, b, need)
	}
}

// lot is a blob that a pass would bring, as the first reference to it has it.
type lot struct {
	by    image
	size  int64 // that it states; -1: it does not
	truth int64 // as the source says, once two references did not agree; -1: it was not asked
}

// image names a manifest.
type image struct {
	repository string
	digest     oci.Digest
}

// lack plans a blob that some store needs. It believes the sizes in manifests as long as they agree.
func (p *planner) lack(ctx context.Context, n *walk.Node, b registry.Descriptor, need set.Set) {
	k := walk.KeyOf(b.Digest)
	p.mu.Lock()
	first, seen := p.seen[k]
	if !seen {
		p.seen[k] = lot{image{n.Repository, n.Digest}, b.Size, -1}
	}
	p.mu.Unlock()
	switch {
	case seen && (b.Size < 0 || b.Size == first.size && first.truth < 0):
	case seen:
		p.settle(ctx, n, b, first, need)
	case !mine(p.opt.Shard, b.Digest):
		p.others.Add(1)
	default:
		if b.Size < 0 {
			size, err := p.stat(ctx, n, b.Digest)
			if err != nil {
				return
			}
			b.Size = size
		}
		p.mu.Lock()
		p.add(b.Digest, b.Size, need, 1)
		p.mu.Unlock()
	}
}

// settle asks the source, once for each blob, which of two sizes is right. Like a pass, it reports the manifests that
// state another size, and plans with the right one.
func (p *planner) settle(ctx context.Context, n *walk.Node, b registry.Descriptor, first lot, need set.Set) {
	if first.truth < 0 {
		size, err := p.stat(ctx, n, b.Digest)
		if err != nil {
			return
		}
		p.mu.Lock()
		k := walk.KeyOf(b.Digest)
		fresh := p.seen[k].truth < 0
		first.truth = size
		p.seen[k] = first
		wrong := fresh && first.size >= 0 && first.size != size
		if wrong {
			p.late[first.by] = false
			if mine(p.opt.Shard, b.Digest) {
				p.add(b.Digest, first.size, need, -1)
				p.add(b.Digest, size, need, 1)
			}
		}
		p.mu.Unlock()
		if wrong {
			p.Problem(first.by.repository, first.by.digest.String(), misstates(b.Digest, first.size, size))
		}
	}
	p.compare(n, b.Digest, b.Size, first.truth)
}

// stat asks the source how large a blob is.
func (p *planner) stat(ctx context.Context, n *walk.Node, d oci.Digest) (int64, error) {
	p.asked.Add(1)
	size, err := p.src.Registry.StatBlob(ctx, n.Repository, d)
	if err != nil && ctx.Err() == nil {
		p.Problem(n.Repository, n.Digest.String(), fmt.Errorf("blob %s: %w", d, err))
	}
	return size, err
}

// compare reports an image that states a wrong size of a blob.
func (p *planner) compare(n *walk.Node, d oci.Digest, states, is int64) {
	if states >= 0 && is >= 0 && states != is {
		n.Fail()
		p.Problem(n.Repository, n.Digest.String(), misstates(d, states, is))
	}
}

// add counts a blob n times, which may be -1: it is uploaded to one store of each group and copied to the others, when none of them has
// it. p.mu is held.
func (p *planner) add(d oci.Digest, size int64, need set.Set, n int64) {
	p.blobs += n
	p.bytes += n * size
	from := map[string]int{} // by group: a store that has it
	for i, group := range p.groups {
		if _, ok := p.targets.Ledger.Holds(i, d); ok && group != "" {
			from[group] = i
		}
	}
	need.Each(func(i int) {
		v := &p.stores[i]
		v.blobs += n
		v.bytes += n * size
		group, bucket := p.groups[i], p.targets.Stores[i].Config.Bucket
		if j, ok := from[group]; ok && group != "" {
			v.requests += n * store.CopyRequests(bucket, size)
			v.copied += n * size
			p.copies[[2]int{j, i}] += n * size
			return
		}
		v.requests += n * store.PutRequests(bucket, size)
		v.uploaded += n * size
		from[group] = i
	})
}

// missed returns how many images were finished before it was known that they state a wrong size.
func (p *planner) missed() (n int64) {
	for _, counted := range p.late {
		if !counted {
			n++
		}
	}
	return n
}

func (p *planner) plan(cfg *config.Config, w *walk.Walker) *Plan {
	met, known := w.Counts()
	out := &Plan{
		Images: ImagesReport{
			Seen: met, Known: known, Complete: known, Failed: p.failed.Load() + p.missed() + w.Nameless(), Denied: p.denied.Load(),
		},
		Skipped: p.skips.Load(), Others: p.others.Load(), Blobs: p.blobs, Bytes: p.bytes, Requests: p.blobs + p.asked.Load(),
		Stores: []StorePlan{},
	}
	if !p.opt.Shard.Whole() {
		out.Shard = p.opt.Shard.String()
	}
	var r Report
	p.fill(&r)
	out.Problems, out.Errors, out.LeftOut, out.Vanished = r.Problems, r.Errors, r.Skipped, r.Vanished
	up := cfg.Upstreams[slices.IndexFunc(cfg.Upstreams, func(u config.Upstream) bool { return u.Name == p.src.Name })]
	for i, s := range p.targets.Stores {
		v := p.stores[i]
		q := quote(cfg, place.Source{Place: up.Place, Override: up.Price}, s.Config)
		sp := StorePlan{
			Name: s.Name(), Blobs: v.blobs, Bytes: v.bytes, Uploaded: v.uploaded, Copied: v.copied, Requests: v.requests,
			Cents: cents(v.uploaded, q), Basis: q.Basis, Estimate: q.Estimate && v.uploaded > 0,
		}
		for pair, bytes := range p.copies {
			if pair[1] == i && p.faults[i] == nil {
				from := p.targets.Stores[pair[0]].Config
				q := quote(cfg, place.Source{Place: from.Place, Override: from.Price}, s.Config)
				sp.Cents += cents(bytes, q)
				sp.Estimate = sp.Estimate || q.Estimate
			}
		}
		if p.faults[i] != nil {
			sp.Error = oneLine(p.faults[i].Error())
		}
		out.Cents += sp.Cents
		out.Stores = append(out.Stores, sp)
	}
	return out
}

// quote is the price of bytes that go from a place to a store.
func quote(cfg *config.Config, from place.Source, to config.Store) place.Quote {
	m := cfg.Map()
	var spot place.Spot
	if site, ok := m.Find(to.Place); ok {
		spot = site.Spot
	}
	return m.Quote(from, to.Place, spot, cfg.Route.Sent())
}

func cents(n int64, q place.Quote) float64 { return price.Cents(float64(n), q.Cents, price.GiB) }

// least is the time that the caps alone make a pass take.
func least(m config.Mirror, p *Plan) float64 {
	seconds := float64(p.Requests+p.WalkRequests) / m.RequestsPerSecond
	if m.BandwidthMBps > 0 {
		seconds = max(seconds, float64(p.Bytes)/(m.BandwidthMBps*1e6))
	}
	return float64(time.Duration(seconds*float64(time.Second)).Round(time.Millisecond)) / float64(time.Second)
}
