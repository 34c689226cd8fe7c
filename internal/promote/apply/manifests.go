package apply

import (
	"context"
	"slices"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
)

// manifests pushes by digest what a destination does not have, and reads it back. The image itself comes last, so that
// a destination with the image has all of it. An image without tags waits until tags are due, because a plan recognizes
// it by its digest.
func (it *item) manifests(ctx context.Context, s *site) {
	if !s.Copy {
		return
	}
	for _, m := range it.closure.Manifests {
		if m.Digest == it.Digest && len(s.Tags) == 0 {
			continue
		}
		if err := it.put(ctx, s, m); err != nil {
			it.fail(ctx, s, promote.Registry, err)
			return
		}
	}
}

// put pushes one manifest by digest.
func (it *item) put(ctx context.Context, s *site, m *registry.Manifest) error {
	if err := it.run.may(ctx); err != nil {
		return err
	}
	_, err := s.host.reg.PutManifest(ctx, s.repo, m.Digest.String(), m, registry.PutOptions{ReadBack: true})
	s.host.answers.note(err)
	it.run.log.add(Entry{Action: Manifest, Repository: s.Repository, Digest: m.Digest, From: it.From}, err)
	if err == nil {
		s.host.manifests.Add(1)
	}
	return err
}

// trim drops the manifests that tags do not need: thousands of images may wait for their tags.
func (it *item) trim() {
	named := it.aside()
	it.closure.Manifests = slices.DeleteFunc(slices.Clone(it.closure.Manifests), func(m *registry.Manifest) bool {
		return m.Digest != it.Digest && !slices.Contains(named, m.Digest)
	})
}

// aside returns the manifests that refer to the image, or to what refers to it, by a tag or as their subject.
func (it *item) aside() (out []oci.Digest) {
	for _, d := range it.closure.Tags {
		out = append(out, d)
	}
	for _, r := range it.referrers() {
		if r.Digest != it.Digest {
			out = append(out, r.Digest)
		}
	}
	return out
}

// referrers returns the manifests of the closure that have a subject.
func (it *item) referrers() (out []*registry.Manifest) {
	for _, m := range it.closure.Manifests {
		if m.Subject() != nil {
			out = append(out, m)
		}
	}
	return out
}
