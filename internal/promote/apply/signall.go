package apply

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/registry"
)

// SignOptions of [SignAll].
type SignOptions struct {
	Exact bool                           // ask for each image's signatures
	Skip  func(oci.Digest) bool          // digests not to sign; nil: none
	Log   func(string, oci.Digest) error // called with each new signature, one call at a time; may be nil
}

// Signatures is the result of [SignAll].
type Signatures struct {
	Images   int64    `json:"images"` // images in place
	Signed   int64    `json:"signed"` // images that did not have our signature before
	Absent   int64    `json:"absent"` // images that are not there yet
	Failures []string `json:"failures"`
	// Held is what was not examined because its manifests are faulty.
	Held []*manifest.Held `json:"held,omitempty"`

	// Cause is one of the failures, or why SignAll was interrupted; nil: neither.
	Cause error `json:"-"`

	opt SignOptions
	mu  sync.Mutex
}

func (s *Signatures) add(full string, d oci.Digest, made bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made && err == nil && s.opt.Log != nil {
		err = s.opt.Log(full, d)
	}
	switch {
	case err != nil:
		s.Cause = err
		s.Failures = append(s.Failures, err.Error())
		return
	case made:
		s.Signed++
	}
	s.Images++
}

// SignAll signs the images of a tree that are in their canonical repositories and do not have our
// signature. Unless opt.Exact is set, it relies on a repository's list of tags where that is possible: an
// image with tags got its signature before them. So only images without any signature, and those without
// tags, are asked for.
func SignAll(ctx context.Context, tree *manifest.Tree, regs *promote.Registries, signer *sign.Signer, opt SignOptions) *Signatures {
	s := &Signatures{Failures: []string{}, Held: tree.Held, opt: opt}
	var g errgroup.Group
	g.SetLimit(8) // repositories; the registries bound the requests
	for p, i := range tree.Images() {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			s.repository(ctx, regs, signer, p.Destinations[0].Repository(i.Name), i)
			return nil
		})
	}
	_ = g.Wait() // failures are in s
	if ctx.Err() != nil {
		s.Cause = context.Cause(ctx)
	}
	return s
}

func (s *Signatures) repository(ctx context.Context, regs *promote.Registries, signer *sign.Signer, full string, i *manifest.Image) {
	list, err := regs.List(ctx, full)
	if errors.Is(err, registry.ErrNotFound) {
		list, err = new(registry.Listing), nil
	}
	if err != nil {
		s.add(full, oci.Digest{}, false, err)
		return
	}
	has := func(tag string) bool {
		_, ok := slices.BinarySearchFunc(list.Tags, tag, func(t registry.Tag, tag string) int { return strings.Compare(t.Name, tag) })
		return ok
	}
	for n := range i.Digests {
		d := &i.Digests[n]
		if ctx.Err() != nil {
			return
		}
		if s.opt.Skip != nil && s.opt.Skip(d.Digest) {
			continue
		}
		if !s.opt.Exact && len(d.Tags) > 0 && has(sign.SignatureTag(d.Digest)) {
			s.add(full, d.Digest, false, nil)
			continue
		}
		switch there, err := inPlace(ctx, regs, full, list, d.Digest); {
		case err != nil:
			s.add(full, d.Digest, false, err)
		case there:
			made, err := signOne(ctx, regs, signer, full, d.Digest)
			s.add(full, d.Digest, made, err)
		default:
			s.mu.Lock()
			s.Absent++
			s.mu.Unlock()
		}
	}
}

// inPlace reports whether a repository has a digest.
func inPlace(ctx context.Context, regs *promote.Registries, full string, list *registry.Listing, d oci.Digest) (bool, error) {
	for _, t := range list.Tags {
		if t.Digest == d {
			return true, nil
		}
	}
	_, err := regs.Resolve(ctx, full, d.String())
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
