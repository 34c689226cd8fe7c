package walk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Selection says which repositories are walked.
type Selection struct {
	List    []string            // one by one
	Include []func(string) bool // of all that the source lists
	Exclude []func(string) bool // however selected
	// Digests are the manifests that promoter manifests name, by repository. Only these are walked, unless the
	// repository is also selected by its name.
	Digests map[string][]oci.Digest
	// Held says which projects have faulty manifests: what they promote is not walked. nil: none.
	Held error
}

func newSelection(r config.MirrorRepositories, only []string, source string) (*Selection, error) {
	s := &Selection{List: r.List}
	var err error
	if s.Exclude, err = patterns(r.Exclude); err != nil {
		return nil, err
	}
	if len(only) > 0 {
		s.List = only
		return s, nil
	}
	if s.Include, err = patterns(r.Include); err != nil {
		return nil, err
	}
	if r.Promoter != "" {
		s.Digests, s.Held, err = promoted(r.Promoter, source)
	}
	return s, err
}

func patterns(texts []string) (out []func(string) bool, err error) {
	for _, p := range texts {
		match, err := config.RepositoryPattern(p)
		if err != nil {
			return nil, err
		}
		out = append(out, match)
	}
	return out, nil
}

// promoted reads a tree of promoter manifests: what they promote to the source, by repositories as the source names
// them. The faults of one project do not affect the others.
func promoted(dir, source string) (_ map[string][]oci.Digest, held, err error) {
	tree, err := manifest.Load(dir)
	if tree, err = tree.Hold(err, false); err != nil {
		return nil, nil, err
	}
	out := map[string][]oci.Digest{}
	for p, image := range tree.Images() {
		for _, d := range p.Destinations {
			name, ok := strings.CutPrefix(d.Repository(image.Name), source+"/")
			if !ok {
				continue
			}
			for _, digest := range image.Digests {
				if !slices.Contains(out[name], digest.Digest) {
					out[name] = append(out[name], digest.Digest)
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, nil, errors.Join(fmt.Errorf("promoter manifests in %s: none promotes to %s, the source", dir, source), tree.HeldBack())
	}
	return out, tree.HeldBack(), nil
}

func (s *Selection) excluded(name string) bool { return matches(s.Exclude, name) }

func matches(patterns []func(string) bool, name string) bool {
	return slices.ContainsFunc(patterns, func(match func(string) bool) bool { return match(name) })
}

// target is one repository to walk.
type target struct {
	name     string
	unusable bool              // a list names it, and nobody can ask for it
	found    bool              // only a list of the source names it
	listing  *registry.Listing // nil: ask for it
	digests  []oci.Digest      // walk these only; nil: all that is listed
}

// targets returns the repositories to walk, each once. A pair may be an error: the source cannot be listed, or
// promoter manifests are faulty; others may follow.
func (s *Selection) targets(ctx context.Context, r *registry.Registry) iter.Seq2[target, error] {
	return func(yield func(target, error) bool) {
		seen := map[string]bool{}
		take := func(t target) bool {
			if seen[t.name] || s.excluded(t.name) {
				return true
			}
			seen[t.name] = true
			return yield(t, nil)
		}
		for _, name := range s.List {
			if !take(target{name: name}) {
				return
			}
		}
		if len(s.Include) > 0 {
			for f, err := range r.Find(ctx) {
				if err != nil {
					if errors.Is(err, registry.ErrNoCatalog) {
						err = fmt.Errorf("%w: name the repositories under mirror.repositories.list", err)
					}
					if !yield(target{}, err) {
						return
					}
					break // what is named by promoter manifests needs no list
				}
				if matches(s.Include, f.Name) && !take(target{name: f.Name, unusable: f.Unusable, found: true, listing: f.Listing}) {
					return
				}
			}
		}
		for name, digests := range s.Digests {
			if !take(target{name: name, digests: digests}) {
				return
			}
		}
		if s.Held != nil {
			yield(target{}, s.Held)
		}
	}
}
