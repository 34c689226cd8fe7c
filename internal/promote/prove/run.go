package prove

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/registry"
	"ociproxy/internal/set"
)

// Depth says how much of each image is read.
type Depth string

// The depths.
const (
	Lists     Depth = "lists"     // only lists of repositories; misses altered content and untagged manifests
	Manifests Depth = "manifests" // every promoted manifest too, with the manifests of an index
	Blobs     Depth = "blobs"     // every blob too, once per host
)

// Depths returns all depths.
func Depths() []string { return []string{string(Lists), string(Manifests), string(Blobs)} }

// Stores is what the inventories of stores say.
type Stores interface {
	// Names returns the names of the stores, by index.
	Names() []string
	// Fault returns why a store's inventory cannot be read; nil: it can.
	Fault(i int) error
	// Incomplete returns the stores without a fault that are not known to have all of an image.
	Incomplete(image oci.Digest) set.Set
	// Lacking returns the stores without a fault that do not have a blob.
	Lacking(blob oci.Digest) set.Set
}

// Options of [Run].
type Options struct {
	Read     Depth  // default: Manifests
	Allow    *Allow // expected in addition to what manifests list
	Keys     sign.Keys
	Identity sign.Identity // what signatures call an image; nil: its repository's name
	Stores   Stores        // nil: examine no stores
	Lost     map[oci.Digest]bool
	Parallel int // repositories and images examined at once; default 8
	Limit    int // findings to keep of each class; 0: all
	// Progress receives how many repositories were examined, of how many that manifests name. nil: it is not called.
	Progress func(done, of int64)
}

const defaultParallel = 8

// run is one look at all destinations.
type run struct {
	*results
	tree  *manifest.Tree
	regs  *promote.Registries
	opt   Options
	wants map[string][]want // by full repository name
	read  blobsRead
}

// want is what one project requires of one repository.
type want struct {
	project *manifest.Project
	image   *manifest.Image
	// canonical says that the image is signed here.
	canonical bool
}

// Run compares production with manifests. What cannot be read is a finding. So is a project that is held back: Run
// does not judge what it may have promoted. The error is that of ctx.
func Run(ctx context.Context, tree *manifest.Tree, regs *promote.Registries, opt Options) (*Report, error) {
	opt.Read = cmp.Or(opt.Read, Manifests)
	opt.Parallel = cmp.Or(opt.Parallel, defaultParallel)
	r := &run{tree: tree, regs: regs, opt: opt, wants: map[string][]want{}, results: &results{limit: opt.Limit, lost: map[oci.Digest]bool{}, r: &Report{
		Manifests: tree.Path, Hash: tree.Hash, StartedAt: time.Now().UTC(), Read: opt.Read, Found: map[Class]int64{},
		Stores: []string{}, Unlisted: []string{}, Findings: []Finding{}, Unjudged: tree.Halves, Held: tree.Held,
	}}}
	for p, i := range tree.Images() {
		for n, d := range p.Destinations {
			name := d.Repository(i.Name)
			r.wants[name] = append(r.wants[name], want{p, i, n == 0})
		}
	}
	for _, h := range tree.Held {
		r.find(Finding{Class: Unreadable, Project: h.Project, Place: h.Faults[0].Place.String(), Detail: "held back: " + h.Why()})
	}
	if opt.Stores != nil {
		r.r.Stores = opt.Stores.Names()
		for i, name := range r.r.Stores {
			if err := opt.Stores.Fault(i); err != nil {
				r.find(Finding{Class: Unreadable, Store: name, Detail: err.Error()})
			}
		}
	}
	err := r.all(ctx)
	r.r.Asked = regs.Requests()
	r.r.Idle = append(opt.Allow.idle(), r.idleLost()...)
	return r.finish(), err
}

// idleLost returns the digests known to be lost that are not missing anywhere, or that are there.
func (r *run) idleLost() (out []promote.Idle) {
	if len(r.opt.Lost) == 0 {
		return nil
	}
	named := map[oci.Digest]bool{}
	for _, i := range r.tree.Images() {
		for _, d := range i.Digests {
			named[d.Digest] = true
		}
	}
	for d := range r.opt.Lost {
		why := "it is there"
		if !named[d] {
			why = "no manifest names it"
		}
		if !r.lost[d] {
			out = append(out, promote.Idle{Exception: "lost", What: d.String(), Why: why})
		}
	}
	slices.SortFunc(out, func(a, b promote.Idle) int { return strings.Compare(a.What, b.What) })
	return out
}

// all examines what destinations have, and then what manifests require and was not found before.
func (r *run) all(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(r.opt.Parallel)
	seen := make(map[string]bool, len(r.wants))
	for _, root := range r.roots() {
		for f, err := range r.regs.Find(inner, root) {
			if err != nil {
				if inner.Err() != nil {
					break
				}
				r.unlisted(root, err)
				break
			}
			full := root + "/" + f.Name
			if seen[full] || inner.Err() != nil {
				continue
			}
			if !promote.ValidRepository(full) { // no client can ask for it
				if !r.opt.Allow.allows(full) {
					r.find(Finding{Class: Unexpected, Repository: full, Detail: "the registry lists a repository by a name that is none"})
				}
				continue
			}
			if len(r.wants[full]) > 0 {
				seen[full] = true
			}
			g.Go(func() error { return r.repository(inner, full, f.Listing) })
		}
	}
	for _, full := range slices.Sorted(maps.Keys(r.wants)) {
		if inner.Err() == nil && !seen[full] {
			g.Go(func() error { return r.repository(inner, full, nil) })
		}
	}
	return cmp.Or(g.Wait(), context.Cause(ctx))
}

// roots returns the destinations that are not below another one.
func (r *run) roots() (out []string) {
	all := map[string]bool{}
	for _, p := range r.tree.Projects {
		for _, d := range p.Destinations {
			all[d.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.ContainsFunc(out, func(root string) bool { return strings.HasPrefix(name, root+"/") }) {
			out = append(out, name)
		}
	}
	return out
}

// unlisted records that it is unknown which repositories a destination has.
func (r *run) unlisted(root string, err error) {
	if errors.Is(err, registry.ErrNoCatalog) {
		r.change(func(rep *Report) { rep.Unlisted = append(rep.Unlisted, root) })
		return
	}
	r.find(Finding{Class: Unreadable, Repository: root, Detail: err.Error()})
}

// repository examines one repository. The error is ctx's: everything else is a finding.
func (r *run) repository(ctx context.Context, full string, list *registry.Listing) error {
	wants := r.wants[full]
	if len(wants) == 0 && (r.opt.Allow.allows(full) || r.tree.Doubtful(full, false)) {
		return nil
	}
	var err error
	if list == nil {
		list, err = r.regs.List(ctx, full)
	}
	known, err := registry.NewView(list, err, func(ctx context.Context, ref string) (oci.Digest, error) {
		return r.regs.Resolve(ctx, full, ref)
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		r.find(Finding{Class: Unreadable, Repository: full, Detail: err.Error()})
		return nil
	}
	if err := known.Unusable.Err(); err != nil && !r.opt.Allow.allows(full) {
		r.find(Finding{Class: Unexpected, Repository: full, Detail: err.Error()})
	}
	if len(wants) == 0 {
		return r.unnamed(ctx, full, known)
	}
	v := newView(r, full, known, wants)
	if err := v.compare(ctx); err != nil {
		return err
	}
	r.change(func(rep *Report) {
		rep.Repositories++
		rep.Digests += int64(len(v.wanted))
		rep.Tags += int64(len(v.tags))
		if r.opt.Progress != nil {
			r.opt.Progress(rep.Repositories, int64(len(r.wants)))
		}
	})
	return ctx.Err()
}

// unnamedAsks bounds the requests for tags of a repository that no manifest names. One tag that exists is enough.
const unnamedAsks = 100

// unnamed examines a repository that no manifest names. The error is ctx's.
func (r *run) unnamed(ctx context.Context, full string, list *registry.View) error {
	var tags []string
	sure := false
	for _, t := range list.Tags {
		if r.opt.Allow.allows(full + ":" + t.Name) {
			continue
		}
		if !sure && len(tags) < unnamedAsks {
			_, gone, _ := list.Gone(ctx, t.Name)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if gone {
				continue // some registries list tags of deleted images
			}
			sure = true
		}
		tags = append(tags, t.Name)
	}
	detail := "no manifest names this repository"
	if len(tags) > 0 {
		detail += "; it has " + someTags(tags)
	}
	if len(tags) > 0 || len(list.Manifests) > 0 && len(list.Tags) == 0 {
		r.find(Finding{Class: Unexpected, Repository: full, Detail: detail})
	}
	return nil
}

// compareFindings orders findings by class, then by what they are about.
func compareFindings(a, b Finding) int {
	order := Classes()
	return cmp.Or(
		cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class)), strings.Compare(a.Repository, b.Repository),
		strings.Compare(a.Tag, b.Tag), strings.Compare(a.Digest.String(), b.Digest.String()), strings.Compare(a.Store, b.Store), strings.Compare(a.Project, b.Project),
	)
}
