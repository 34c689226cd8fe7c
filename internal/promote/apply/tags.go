package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
)

// tag sets the tags of an image at all its destinations, close together: first the tags of its signatures, then its
// own.
func (it *item) tag(ctx context.Context) {
	it.each(ctx, it.about)
	it.each(ctx, it.commit)
}

// about sets the tags of the image's signatures and the like. If a destination already has another manifest under such
// a tag, it stays, and holds back nothing.
func (it *item) about(ctx context.Context, s *site) {
	for _, name := range slices.Sorted(maps.Keys(it.closure.Tags)) {
		if slices.ContainsFunc(s.Tags, func(t promote.Tag) bool { return t.Name == name }) {
			continue // promoted under its own name
		}
		m := it.closure.Manifest(it.closure.Tags[name])
		if err := it.beside(ctx, s, name, m); err != nil {
			it.aboutFailed(ctx, s, name, err)
			return
		}
	}
	lists, err := it.lists()
	if root := it.closure.Root(); err == nil && s.Copy && len(s.Tags) == 0 && root.Subject() != nil {
		err = it.put(ctx, s, root) // registries do not accept a list of manifests that they do not have
	}
	if err != nil {
		it.fail(ctx, s, promote.Registry, err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if _, err := it.merge(ctx, s, name, lists[name]); err != nil {
			it.aboutFailed(ctx, s, name, err)
			return
		}
	}
}

// aboutFailed decides what a signature that cannot be set means. If another manifest is under its tag, the failure is
// reported. Any other error ends the work on the site, because the image would be without the signature.
func (it *item) aboutFailed(ctx context.Context, s *site, tag string, err error) {
	if !errors.Is(err, errOther) {
		it.fail(ctx, s, promote.Registry, err)
		return
	}
	f := it.failure(promote.TagMoved, s.Repository, 0, err)
	f.Tag = tag
	it.run.tally.fail(f)
}

// commit makes the image promoted at a site: it sets the image's tags, or, if it has none, pushes its manifest.
func (it *item) commit(ctx context.Context, s *site) {
	r := it.run
	if len(s.Tags) == 0 {
		if !s.Copy {
			r.tally.inPlace(1)
			return
		}
		root := it.closure.Root()
		if root.Subject() == nil { // with a subject, it is there already, for the lists that name it
			if err := it.put(ctx, s, root); err != nil {
				it.fail(ctx, s, promote.Registry, err)
				return
			}
		}
		r.tally.done(1)
		return
	}
	for {
		s.mu.Lock()
		if len(s.tags) == 0 || s.err != nil {
			s.mu.Unlock()
			return
		}
		t := s.tags[0]
		s.mu.Unlock()
		wrote, err := it.set(ctx, s, t)
		moved := errors.Is(err, errOther)
		if err != nil && !moved {
			it.fail(ctx, s, promote.Registry, fmt.Errorf("tag %s: %w", t.Name, err))
			return
		}
		s.mu.Lock()
		s.tags = s.tags[1:]
		s.mu.Unlock()
		switch {
		case moved:
		case wrote:
			r.tally.done(1)
		default:
			r.tally.inPlace(1)
		}
	}
}

// errOther says that a tag has an unexpected digest.
var errOther = errors.New("the tag is something else")

// set sets one tag. It reads the tag immediately before, asks the registry not to replace a tag if the registry
// supports that, and reads the tag back.
func (it *item) set(ctx context.Context, s *site, t promote.Tag) (wrote bool, err error) {
	if t.Merge {
		return it.add(ctx, s, t)
	}
	root := it.closure.Root()
	found, err := it.resolve(ctx, s, t.Name)
	switch {
	case err != nil:
		return false, err
	case found == it.Digest:
		return false, nil
	case found != t.Was && promote.MergedTag(t.Name): // for example, the image was signed since
		return it.add(ctx, s, t)
	case found != t.Was:
		it.moved(s, t, found)
		return false, errOther
	}
	err = it.write(ctx, s, SetTag, t.Name, found, root)
	if errors.Is(err, registry.ErrExists) {
		switch found, e := it.resolve(ctx, s, t.Name); {
		case e != nil:
		case found == it.Digest:
			return false, nil
		case promote.MergedTag(t.Name):
			return it.add(ctx, s, t)
		default:
			it.moved(s, t, found)
			return false, errOther
		}
	}
	return err == nil, err
}

// add sets one tag that is added to.
func (it *item) add(ctx context.Context, s *site, t promote.Tag) (wrote bool, err error) {
	if wrote, err = it.merge(ctx, s, t.Name, it.closure.Root()); errors.Is(err, errOther) {
		f := it.failure(promote.TagMoved, s.Repository, 1, err)
		f.Tag = t.Name
		it.run.tally.fail(f)
	}
	return wrote, err
}

// write puts a manifest under a tag whose digest is was, and reads it back. A write that failed but took effect counts
// as done.
func (it *item) write(ctx context.Context, s *site, a Action, tag string, was oci.Digest, m *registry.Manifest) error {
	if err := it.run.may(ctx); err != nil {
		return err
	}
	_, err := s.host.reg.PutManifest(ctx, s.repo, tag, m, registry.PutOptions{IfNoneMatch: was.IsZero(), ReadBack: true})
	s.host.answers.note(err)
	if err != nil && ctx.Err() == nil && !errors.Is(err, registry.ErrExists) {
		if found, e := it.resolve(ctx, s, tag); e == nil && found == m.Digest {
			err = nil
		}
	}
	it.run.log.add(Entry{Action: a, Repository: s.Repository, Tag: tag, Digest: m.Digest, Was: was, From: it.From}, err)
	if err == nil {
		s.host.tags.Add(1)
	}
	return err
}
