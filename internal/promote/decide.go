package promote

import (
	"context"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
)

// work plans one image after its destinations were surveyed.
type work struct {
	*maker
	project *manifest.Project
	image   *manifest.Image
	sites   []site
	out     *outcome
}

// decide turns shortages into promotions and failures.
func (w *work) decide(ctx context.Context) {
	var all int64
	for _, d := range w.image.Digests {
		all += int64(max(1, len(d.Tags)))
	}
	w.out.done = w.out.edges
	targets := make([][]Target, len(w.image.Digests))
	some := false
	for n := range w.sites {
		s := &w.sites[n]
		if s.err != nil {
			w.out.done -= all
			w.failure(Registry, s.repository, all, "%s", s.err)
			continue
		}
		for _, lack := range s.lacks {
			if t, ok := w.shortage(s, lack); ok {
				targets[lack.index] = append(targets[lack.index], t)
				some = true
			}
		}
	}
	if !some {
		return
	}
	src := w.source(ctx, targets)
	for n, to := range targets {
		if len(to) > 0 {
			w.promote(ctx, n, to, src)
		}
	}
}

// shortage subtracts what one site does not have of one digest from what is done. ok says that there is something to do
// about it.
func (w *work) shortage(s *site, lack shortage) (t Target, ok bool) {
	d := &w.image.Digests[lack.index]
	edges := int64(max(1, len(d.Tags)))
	place := func(pos manifest.Pos) string { return w.project.At(pos).String() }
	if lack.err != nil {
		w.out.done -= edges
		f := w.failure(Registry, s.repository, edges, "%s", lack.err)
		f.Digest, f.Place = d.Digest, place(d.Pos)
		return t, false
	}
	for _, moved := range lack.moved {
		w.out.done--
		f := w.failure(TagMoved, s.repository, 1, "the tag is %s there, not %s", moved.found, d.Digest)
		f.Digest, f.Tag, f.Found, f.Place = d.Digest, moved.tag.Name, moved.found, place(moved.tag.Pos)
	}
	if len(lack.tags) == 0 && len(d.Tags) > 0 {
		return t, false
	}
	w.out.done -= int64(max(1, len(lack.tags)))
	return Target{Destination: s.destination, Repository: s.repository, Copy: !s.present[lack.index].has, Tags: lack.tags}, true
}

// source is what the source has of the digests that are missing, or that have missing tags, in some destination.
type source struct {
	repository string
	have       map[int]presence // by index
	err        error            // why it could not be read
}

// source reads the source, even if digests are in place and only tags are missing. A run may have been killed before it
// copied the signatures, and these are in the source.
func (w *work) source(ctx context.Context, targets [][]Target) *source {
	src := &source{repository: w.project.Source.Repository(w.image.Name), have: map[int]presence{}}
	var wanted []int
	for n, to := range targets {
		if len(to) > 0 {
			wanted = append(wanted, n)
		}
	}
	if len(wanted) == 0 {
		return src
	}
	v, err := w.look(ctx, src.repository)
	if err != nil {
		src.err = err
		return src
	}
	found := make([]presence, len(wanted))
	ask := func(i int) {
		d := w.image.Digests[wanted[i]].Digest
		if found[i].has, found[i].err = v.Has(ctx, d); !found[i].has && found[i].err == nil && v.Complete() {
			found[i].has, found[i].err = v.Holds(ctx, d) // a list that lags is not proof that it is gone
		}
	}
	each(len(wanted), parallelAsks, ask)
	for i, n := range wanted {
		src.have[n] = found[i]
	}
	return src
}

// promote decides from where the digest with index n is taken.
func (w *work) promote(ctx context.Context, n int, to []Target, src *source) {
	d := &w.image.Digests[n]
	p := &Promotion{Project: w.project.Name, Image: w.image.Name, Digest: d.Digest, To: to, Canonical: w.sites[0].repository}
	at := src.have[n]
	if at.has {
		p.From = src.repository
	} else {
		p.From = w.holder(ctx, n, d.Digest)
	}
	if p.From != "" {
		w.out.promotions = append(w.out.promotions, p)
		return
	}
	var edges int64
	for _, t := range to {
		edges += int64(max(1, len(t.Tags)))
	}
	var f *Failure
	switch err := src.err; {
	case err != nil || at.err != nil:
		if err == nil {
			err = at.err
		}
		f = w.failure(Registry, src.repository, edges, "%s", err)
	case w.isLost(d.Digest):
		w.out.lost += edges
		return
	default:
		f = w.failure(SourceGone, src.repository, edges, "neither the source nor a destination has it")
	}
	f.Digest, f.Place = d.Digest, w.project.At(d.Pos).String()
}

// holder returns a destination that has a digest, or "" if there is none.
func (w *work) holder(ctx context.Context, n int, d oci.Digest) string {
	for i := range w.sites {
		if s := &w.sites[i]; s.err == nil && s.present[n].has {
			return s.repository
		}
	}
	for i := range w.sites { // destinations not asked yet: their tags are something else
		s := &w.sites[i]
		if s.err != nil || s.present[n].asked || s.nothing {
			continue
		}
		if has, err := s.view.Has(ctx, d); err == nil && has {
			return s.repository
		}
	}
	return ""
}

// Digests makes the set for Options.Lost.
func Digests(list []oci.Digest) map[oci.Digest]bool {
	out := make(map[oci.Digest]bool, len(list))
	for _, d := range list {
		out[d] = true
	}
	return out
}
