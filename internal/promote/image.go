package promote

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// maker plans images.
type maker struct {
	*exceptions
	holdings Holdings
	shared   map[string]*shared
}

// outcome is the plan of one image.
type outcome struct {
	promotions        []*Promotion
	failures          []*Failure
	edges, done, lost int64
}

// parallelAsks bounds the requests for single tags and digests of one repository. The registry has its own bound for
// all.
const parallelAsks = 16

// manyDigests is the number of digests from which one more request, which may save all others, is worthwhile.
const manyDigests = 8

// look reads a repository: only once, even if several images ask for it.
func (m *maker) look(ctx context.Context, repository string) (*registry.View, error) {
	s := m.shared[repository]
	if s == nil {
		return look(ctx, m.holdings, repository)
	}
	s.once.Do(func() { s.view, s.err = look(ctx, m.holdings, repository) })
	return s.view, s.err
}

// image plans one image: what each destination does not have, then from where to take that.
func (m *maker) image(ctx context.Context, p *manifest.Project, i *manifest.Image) *outcome {
	w := &work{maker: m, project: p, image: i, out: new(outcome), sites: make([]site, len(p.Destinations))}
	for _, d := range i.Digests {
		w.out.edges += int64(max(1, len(d.Tags))) * int64(len(p.Destinations))
	}
	var g errgroup.Group
	for n := range p.Destinations {
		s := &w.sites[n]
		s.destination = p.Destinations[n].Name
		s.repository = p.Destinations[n].Repository(i.Name)
		g.Go(func() error { m.survey(ctx, s, i); return nil })
	}
	_ = g.Wait() // each site keeps its own failure
	w.decide(ctx)
	return w.out
}

// site is one destination of an image.
type site struct {
	destination, repository string
	view                    *registry.View
	err                     error      // why it could not be read
	lacks                   []shortage // in the order of digests; none for what is in place
	present                 []presence // by digest
	nothing                 bool       // the registry does not know the repository
}

// presence says whether a site has a digest.
type presence struct {
	has   bool
	err   error
	asked bool // asked, or from a complete list; false: has is only unknown
}

// shortage is what a site does not have of the digest with an index in the image.
type shortage struct {
	index int
	tags  []Tag
	moved []movedTag
	err   error // why it is unknown
}

type movedTag struct {
	tag   manifest.Tag
	found oci.Digest
}

// survey finds out what a destination does not have.
func (m *maker) survey(ctx context.Context, s *site, i *manifest.Image) {
	if s.view, s.err = m.look(ctx, s.repository); s.err != nil {
		return
	}
	s.present = make([]presence, len(i.Digests))
	if s.view.Unnamed && len(i.Digests) >= manyDigests {
		// If the registry does not know the repository at all, one request answers for all of its digests.
		unknown, err := m.holdings.NameUnknown(ctx, s.repository, i.Digests[0].Digest)
		s.nothing = err == nil && unknown
	}
	short := make([]shortage, len(i.Digests))
	limit := parallelAsks
	if s.view.Complete() || s.nothing {
		limit = 1 // all is known: no requests are needed
	}
	each(len(i.Digests), limit, func(n int) { m.compare(ctx, s, i, n, &short[n]) })
	for n := range short {
		d := &short[n]
		if d.err != nil || len(d.tags) > 0 || len(d.moved) > 0 || len(i.Digests[n].Tags) == 0 && !s.present[n].has {
			d.index = n
			s.lacks = append(s.lacks, *d)
		}
	}
}

// compare compares one digest and its tags with a site.
func (m *maker) compare(ctx context.Context, s *site, i *manifest.Image, n int, out *shortage) {
	want := &i.Digests[n]
	if s.view.Unlisted { // mostly a new repository: without the digest, its tags are missing too
		has, err := false, error(nil)
		if !s.nothing {
			has, err = s.view.Holds(ctx, want.Digest)
		}
		if s.present[n] = (presence{has, err, true}); err != nil || !has {
			out.err = err
			out.tags = slices.Grow(out.tags, len(want.Tags))
			for _, t := range want.Tags {
				out.tags = append(out.tags, Tag{Name: t.Name})
			}
			return
		}
	}
	for _, t := range want.Tags {
		got, err := s.view.Tag(ctx, t.Name, want.Digest)
		switch {
		case err != nil:
			out.err = err
			return
		case got == want.Digest:
			s.present[n].has = true
		case got.IsZero():
			out.tags = append(out.tags, Tag{Name: t.Name})
		case MergedTag(t.Name):
			out.tags = append(out.tags, Tag{Name: t.Name, Was: got, Merge: true})
		case m.mayMove(s.repository, i.Name, t.Name):
			out.tags = append(out.tags, Tag{Name: t.Name, Was: got})
		default:
			out.moved = append(out.moved, movedTag{t, got})
		}
	}
	if !s.present[n].has && (len(want.Tags) == 0 || len(out.tags) > 0) {
		has, err := s.view.Has(ctx, want.Digest)
		s.present[n] = presence{has, err, true}
		if err != nil {
			out.err = err
		}
	}
}

// fallback matches tags that list what refers to a digest (distribution-spec, "Referrers Tag Schema"), and cosign's
// tags.
var fallback = regexp.MustCompile(`^sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})(\.[a-z]+)?$`)

// MergedTag reports whether a tag is a list of what refers to a digest: a promotion adds to it and never moves it.
func MergedTag(name string) bool {
	return len(name) > 70 && name[0] == 's' && fallback.MatchString(name)
}

// each calls ask for 0 to n-1, at most limit at once.
func each(n, limit int, ask func(i int)) {
	if limit = min(limit, n); limit <= 1 {
		for i := range n {
			ask(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range limit {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				ask(int(i))
			}
		})
	}
	wg.Wait()
}

// failure adds a failure. It is about the complete image until more is set.
func (w *work) failure(class Class, repository string, edges int64, format string, args ...any) *Failure {
	f := &Failure{
		Class: class, Project: w.project.Name, Image: w.image.Name, Repository: repository,
		Message: fmt.Sprintf(format, args...), Edges: edges, Place: w.project.At(w.image.Pos).String(),
	}
	w.out.failures = append(w.out.failures, f)
	return f
}
