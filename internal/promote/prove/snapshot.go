package prove

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
)

// Snap is one image of a snapshot.
type Snap struct {
	Name    string
	Digests []SnapDigest // by their first tag; digests without a tag come last, by digest
	// Untagged says that the registry reported the manifests without a tag. If it did not, and there is no tag, Digests
	// is empty: the repository has nothing, or has digests that cannot be listed.
	Untagged bool
	// Unusable says that the registry lists an invalid name, for which no client can ask.
	Unusable bool
	// Left are the tags and manifests that the registry lists and that cannot be requested.
	Left registry.Unusable
}

// SnapDigest is a digest with its tags, by name.
type SnapDigest struct {
	Digest oci.Digest
	Tags   []string
}

// SnapOptions of [Snapshot].
type SnapOptions struct {
	Untagged bool // include manifests without a tag, if the registry lists them
	Parallel int  // repositories read at once; default 8
}

// ErrNothing says that there is no repository where a snapshot was requested.
var ErrNothing = errors.New("no repository is there")

// Snapshot reads what is below a registry, host[:port][/path], and passes on the images in the order of their names,
// as they come in. When the registry lists no digests, it asks for each tag. emit is called from one goroutine; its
// error ends the reading. The error is [ErrNothing] when the registry lists no repository there.
func Snapshot(ctx context.Context, regs *promote.Registries, root string, opt SnapOptions, emit func(*Snap) error) error {
	var found []registry.Found
	for f, err := range regs.Find(ctx, root) {
		if err != nil {
			return err
		}
		if f.Listing != nil && !opt.Untagged {
			f.Listing.Manifests = nil // the tags are enough, and there may be many manifests
		}
		found = append(found, f)
	}
	if len(found) == 0 {
		return fmt.Errorf("list repositories of %s: %w", root, ErrNothing)
	}
	slices.SortFunc(found, func(a, b registry.Found) int { return strings.Compare(a.Name, b.Name) })
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(opt.Parallel, defaultParallel) + 1) // one of them emits
	ready := make(chan chan *Snap, cmp.Or(opt.Parallel, defaultParallel))
	g.Go(func() error {
		for c := range ready {
			select {
			case s := <-c:
				if err := emit(s); err != nil {
					return err
				}
			case <-inner.Done():
				return inner.Err()
			}
		}
		return nil
	})
	for i := range found {
		f := found[i]
		found[i] = registry.Found{} // lists are freed as they are passed on
		c := make(chan *Snap, 1)
		select {
		case ready <- c:
		case <-inner.Done():
		}
		if inner.Err() != nil {
			break
		}
		g.Go(func() error {
			s, err := snap(inner, regs, root+"/"+f.Name, f, opt)
			if err == nil {
				c <- s
			}
			return err
		})
	}
	close(ready)
	return cmp.Or(g.Wait(), ctx.Err())
}

// snap reads one repository.
func snap(ctx context.Context, regs *promote.Registries, full string, f registry.Found, opt SnapOptions) (*Snap, error) {
	list := f.Listing
	if !promote.ValidRepository(full) { // no client can ask for it
		return &Snap{Name: f.Name, Unusable: true}, nil
	}
	if list == nil {
		var err error
		if list, err = regs.List(ctx, full); errors.Is(err, registry.ErrNotFound) {
			return &Snap{Name: f.Name}, nil // deleted meanwhile, empty, or only digests
		} else if err != nil {
			return nil, err
		}
	}
	if list.Truncated {
		return nil, fmt.Errorf("list %s: %w: the registry ends its list early", full, registry.ErrTooLarge)
	}
	tags, err := resolved(ctx, regs, full, list.Tags)
	if err != nil {
		return nil, err
	}
	s := &Snap{Name: f.Name, Untagged: list.All, Left: list.Unusable}
	index := map[oci.Digest]int{}
	for _, t := range tags {
		if t.Digest.IsZero() {
			continue
		}
		at, ok := index[t.Digest]
		if !ok {
			at = len(s.Digests)
			index[t.Digest] = at
			s.Digests = append(s.Digests, SnapDigest{Digest: t.Digest})
		}
		s.Digests[at].Tags = append(s.Digests[at].Tags, t.Name)
	}
	if opt.Untagged {
		for i := range list.Manifests { // by digest
			if _, ok := index[list.Manifests[i].Digest]; !ok {
				s.Digests = append(s.Digests, SnapDigest{Digest: list.Manifests[i].Digest})
			}
		}
	}
	return s, nil
}

// resolved asks for the digests of tags that are not known. A tag that is gone meanwhile gets none.
func resolved(ctx context.Context, regs *promote.Registries, full string, tags []registry.Tag) ([]registry.Tag, error) {
	out := slices.Clone(tags)
	var g errgroup.Group
	g.SetLimit(defaultParallel)
	var mu sync.Mutex
	var failed error
	for i := range out {
		if !out[i].Digest.IsZero() {
			continue
		}
		g.Go(func() error {
			d, err := regs.Resolve(ctx, full, out[i].Name)
			if err != nil && !errors.Is(err, registry.ErrNotFound) {
				mu.Lock()
				defer mu.Unlock()
				failed = cmp.Or(failed, err)
				return nil
			}
			out[i].Digest = d
			return nil
		})
	}
	_ = g.Wait() // failed has the error
	return out, failed
}
