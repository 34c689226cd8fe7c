package promote

import (
	"fmt"
	"slices"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
)

// Changes returns the part of now that before did not ask for: new digests, new tags, and for a new destination all
// of an image. A change of source or project makes no difference. What only before asked for is not included:
// promotion is additive. A project of the result may occur several times, each time with other destinations.
func Changes(before, now *manifest.Tree) *manifest.Tree {
	old := map[string][]*manifest.Image{} // by repository
	for p, i := range before.Images() {
		for _, d := range p.Destinations {
			name := d.Repository(i.Name)
			old[name] = append(old[name], i)
		}
	}
	out := &manifest.Tree{Path: now.Path, Hash: now.Hash, Warnings: now.Warnings, Held: now.Held}
	for _, p := range now.Projects {
		out.Projects = append(out.Projects, changed(p, old)...)
	}
	return out
}

// changed returns the changed part of a project. Destinations with the same changes are grouped.
func changed(p *manifest.Project, old map[string][]*manifest.Image) (out []*manifest.Project) {
	parts := make([][]*manifest.Image, len(p.Destinations))
	for _, i := range p.Images {
		var said []*manifest.Image // of the previous destination: mostly all are the same
		var rest *manifest.Image
		for n, d := range p.Destinations {
			if was := old[d.Repository(i.Name)]; n == 0 || !slices.Equal(was, said) {
				said, rest = was, subtract(i, was)
			}
			if len(rest.Digests) > 0 {
				parts[n] = append(parts[n], rest)
			}
		}
	}
	groups := map[string]*manifest.Project{}
	for n := range parts {
		if len(parts[n]) == 0 {
			continue
		}
		key := fmt.Sprintf("%p", parts[n][0])
		for _, i := range parts[n][1:] {
			key += fmt.Sprintf(" %p", i)
		}
		g := groups[key]
		if g == nil {
			g = new(manifest.Project)
			*g = *p
			g.Images, g.Destinations = parts[n], nil
			groups[key] = g
			out = append(out, g)
		}
		g.Destinations = append(g.Destinations, p.Destinations[n])
	}
	return out
}

// subtract returns what i lists and none of was lists.
func subtract(i *manifest.Image, was []*manifest.Image) *manifest.Image {
	if len(was) == 0 {
		return i
	}
	digests := map[oci.Digest]bool{}
	tags := map[string]oci.Digest{}
	for _, w := range was {
		for _, d := range w.Digests {
			digests[d.Digest] = true
			for _, t := range d.Tags {
				tags[t.Name] = d.Digest
			}
		}
	}
	rest := &manifest.Image{Name: i.Name, Pos: i.Pos}
	for _, d := range i.Digests {
		if !digests[d.Digest] {
			rest.Digests = append(rest.Digests, d)
			continue
		}
		part := manifest.Promoted{Digest: d.Digest, Pos: d.Pos}
		for _, t := range d.Tags {
			if tags[t.Name] != d.Digest {
				part.Tags = append(part.Tags, t)
			}
		}
		if len(part.Tags) > 0 {
			rest.Digests = append(rest.Digests, part)
		}
	}
	return rest
}
