package promote

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Options of [Make].
type Options struct {
	// AllowMove names tags that may change their digest: REPOSITORY:TAG with the repository's full name, or IMAGE:TAG
	// with the manifest's name, for all destinations.
	AllowMove []string
	// Lost are digests known to be gone forever. It is not a failure that they cannot be promoted.
	Lost map[oci.Digest]bool
	// Parallel bounds the images planned at once; default 16.
	Parallel int
	// Whole is everything that the manifests say, where the tree is only a part of it ([Changes]); nil: the tree is
	// everything.
	Whole *manifest.Tree
}

// Summary is the total of a plan.
type Summary struct {
	Edges      int64                   `json:"edges"`      // required by the manifests
	Done       int64                   `json:"done"`       // in place already
	Planned    int64                   `json:"planned"`    // brought about by the plan
	Lost       int64                   `json:"lost"`       // of digests known to be lost
	Failed     int64                   `json:"failed"`     // concerned by failures
	Promotions int64                   `json:"promotions"` // digests with something to do
	Failures   []*Failure              `json:"failures"`
	Held       []*manifest.Held        `json:"held,omitempty"` // left out because its manifests are faulty
	Idle       []Idle                  `json:"idle,omitempty"` // exceptions that changed nothing
	By         map[string]*Destination `json:"destinations"`   // by the manifests' names; those with something to do

	Stores  map[string]*Weight `json:"stores,omitempty"`  // by name; nil: stores were not examined
	Unknown int64              `json:"unknown,omitempty"` // images that could not be weighed
	Asked   map[string]int64   `json:"asked,omitempty"`   // requests for planning, by host
}

// Destination is what a plan does at one destination.
type Destination struct {
	Images int64 `json:"images"` // digests to copy there
	Tags   int64 `json:"tags"`   // to set
	Moves  int64 `json:"moves"`  // of these, tags that have another digest now
	Merges int64 `json:"merges"` // of these, tags to which the promotion adds

	Weight *Weight `json:"weight,omitempty"` // nil: not weighed
}

// NothingToDo reports whether everything is in place. It returns false if something is missing and nothing can be done.
func (s *Summary) NothingToDo() bool { return s.Planned == 0 && s.Failed == 0 }

// heldBit is the bit of an exit code that says that something is held back.
const heldBit = 128

// Code returns the exit code: 0 when nothing failed and nothing is held back. Otherwise the bits of the classes that
// occurred, 128 when projects are held back, and 32 when something else is, or can be, done, or 64 when nothing is.
func (s *Summary) Code() int {
	return ExitCode(s.Failures, len(s.Held) > 0, s.Planned > 0 || len(s.Failures) == 0 && s.Done > 0)
}

// ExitCode returns the exit code for some failures, by the rule of [Summary.Code]. some says that not everything
// failed.
func ExitCode(failures []*Failure, held, some bool) int {
	code := 0
	for _, f := range failures {
		code |= f.Class.Bit()
	}
	if held {
		code |= heldBit
	}
	switch {
	case code == 0:
		return 0
	case some:
		return 32 | code
	}
	return 64 | code
}

// Make compares manifests with what registries hold. emit gets each promotion with something to do, in the manifests'
// order, from one goroutine. An error of emit, or the end of ctx, ends the planning. Memory is bounded by the images
// planned at once.
func Make(ctx context.Context, tree *manifest.Tree, holdings Holdings, opt Options, emit func(*Promotion) error) (*Summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &maker{holdings: holdings, exceptions: newExceptions(opt), shared: share(tree)}
	if opt.Parallel <= 0 {
		opt.Parallel = 16
	}
	// Each image gets a place in the queue of outcomes before it begins. That bounds the images in work and keeps their
	// order.
	outcomes := make(chan chan *outcome, opt.Parallel)
	var work sync.WaitGroup
	work.Go(func() {
		defer close(outcomes)
		for p, i := range tree.Images() {
			slot := make(chan *outcome, 1)
			select {
			case outcomes <- slot:
			case <-ctx.Done():
				return
			}
			work.Go(func() { slot <- m.image(ctx, p, i) })
		}
	})
	defer work.Wait()
	sum := &Summary{By: map[string]*Destination{}, Failures: []*Failure{}, Held: tree.Held}
	for slot := range outcomes {
		out := <-slot
		if err := ctx.Err(); err != nil {
			cancel()
			return nil, err
		}
		sum.add(out)
		for _, p := range out.promotions {
			sum.count(p)
			if err := emit(p); err != nil {
				cancel()
				return nil, err
			}
		}
	}
	sum.Idle = m.idle(tree, cmp.Or(opt.Whole, tree))
	return sum, ctx.Err()
}

func (s *Summary) add(o *outcome) {
	s.Edges += o.edges
	s.Done += o.done
	s.Lost += o.lost
	s.Failures = append(s.Failures, o.failures...)
	for _, f := range o.failures {
		s.Failed += f.Edges
	}
}

// count adds a promotion to the totals.
func (s *Summary) count(p *Promotion) {
	s.Promotions++
	for _, t := range p.To {
		d := s.By[t.Destination]
		if d == nil {
			d = new(Destination)
			s.By[t.Destination] = d
		}
		if t.Copy {
			d.Images++
		}
		for _, tag := range t.Tags {
			d.Tags++
			switch {
			case tag.Merge:
				d.Merges++
			case !tag.Was.IsZero():
				d.Moves++
			}
		}
		s.Planned += int64(max(1, len(t.Tags)))
	}
}

// Destinations returns the names in By, sorted.
func (s *Summary) Destinations() []string { return slices.Sorted(maps.Keys(s.By)) }

// share finds the repositories that more than one image of the tree reads or writes. They are read once for all images.
func share(tree *manifest.Tree) map[string]*shared {
	seen, out := map[string]bool{}, map[string]*shared{}
	note := func(repository string) {
		if seen[repository] && out[repository] == nil {
			out[repository] = new(shared)
		}
		seen[repository] = true
	}
	for p, i := range tree.Images() {
		note(p.Source.Repository(i.Name))
		for _, d := range p.Destinations {
			note(d.Repository(i.Name))
		}
	}
	return out
}

// shared is a repository that is read once.
type shared struct {
	once sync.Once
	view *registry.View
	err  error
}
