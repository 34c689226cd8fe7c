package manifest

import (
	"fmt"

	yaml "go.yaml.in/yaml/v4"

	"ociproxy/internal/oci"
)

// registries are the registries of a manifest as they were written.
type registries struct {
	sources, destinations []Registry
	list                  bool // the key was there and is a list
	unclear               bool // which of them are sources is not known
	at                    *yaml.Node
}

// manifest reads the registries, and of a plain manifest the images too.
func (p *parser) manifest(root *yaml.Node, plain bool) (r registries, images *collection) {
	r.at = root
	if !p.container(root, yaml.MappingNode, "keys and values: `registries:` and so on") {
		return r, nil
	}
	known := "registries, imagesPath"
	if plain {
		known = "registries, images, imagesPath"
	}
	var seenRegistries, seenImages bool
	p.keys(root, "keep one", func(name string, k, v *yaml.Node) {
		switch {
		case name == "registries":
			seenRegistries = true
			r.list = p.registries(v, &r)
		case name == "imagesPath": // ignored by every promoter: the path follows from the tree
			if !isNullNode(v) {
				p.word(v, "a path, which is not used")
			}
		case name == "images" && plain:
			seenImages = true
			images = p.images(v)
			p.empty(v)
		case name == "images":
			p.fault(k, RuleUnknownKey, "list its images in "+ImagesDir+"/<project>/"+ImagesFile, "a manifest of a thin tree has no images")
		default:
			p.fault(k, RuleUnknownKey, "known keys here: "+known, "unknown key %q", shorten(name))
		}
	})
	if !seenRegistries {
		p.fault(root, RuleMissingKey, "list the source (`src: true`) and the destinations", "missing key %q", "registries")
	}
	if plain && !seenImages {
		p.fault(root, RuleMissingKey, "for a thin tree, name its directory", "missing key %q", "images")
	}
	return r, images
}

func (p *parser) registries(n *yaml.Node, r *registries) bool {
	r.at = n
	if !p.container(n, yaml.SequenceNode, "a list of registries") {
		return isNullNode(n)
	}
	for _, e := range n.Content {
		p.registry(e, r)
	}
	return true
}

func (p *parser) registry(n *yaml.Node, r *registries) {
	if !p.container(n, yaml.MappingNode, "a registry: `name:` and so on") {
		if isNullNode(n) {
			p.fault(n, RuleShape, "", "expected a registry, found nothing")
		}
		return
	}
	reg := Registry{Pos: posOf(n)}
	var src, named, bad bool
	p.keys(n, "keep one", func(key string, k, v *yaml.Node) {
		switch key {
		case "name":
			named = true
			name, ok := p.word(v, "a registry")
			if !ok {
				bad = true
				return
			}
			reg.Name, reg.Pos = name, posOf(v)
			if hint, err := checkRegistry(name); err != nil {
				bad = true
				p.fault(v, RuleRegistry, hint, "%s", err)
			}
		case "src":
			var ok bool
			src, ok = p.boolean(v)
			r.unclear = r.unclear || !ok
		case "service-account":
			reg.ServiceAccount, _ = p.word(v, "the name of an account")
		default:
			p.fault(k, RuleUnknownKey, "known keys here: name, src, service-account", "unknown key %q", shorten(key))
		}
	})
	if !named {
		p.fault(n, RuleMissingKey, "", "missing key %q", "name")
		bad = true
	}
	if bad {
		reg.Name = "" // counted, but nothing is promoted there
	}
	if src {
		r.sources = append(r.sources, reg)
	} else {
		r.destinations = append(r.destinations, reg)
	}
}

// check applies the rules about the registries of one project and returns its source and destinations.
func (p *parser) check(r registries) (source Registry, destinations []Registry) {
	if !r.list {
		return source, nil
	}
	at := func(reg Registry) (int, int) { return int(reg.Line), int(reg.Column) }
	switch len(r.sources) {
	case 0:
		if r.unclear {
			break
		}
		p.fault(r.at, RuleSource, "mark one registry with `src: true`", "there is no source")
	default:
		source = r.sources[0]
		for _, extra := range r.sources[1:] {
			line, column := at(extra)
			p.add(RuleSource, line, column, "a project has one source", "there is a second source")
			p.also(source.in(p.file))
		}
	}
	if len(r.destinations) == 0 {
		p.fault(r.at, RuleDestination, "a registry without `src: true` is a destination", "there is no destination")
	}
	seen := map[string]Registry{source.Name: source}
	for _, d := range r.destinations {
		if d.Name == "" {
			continue
		}
		if first, dup := seen[d.Name]; dup {
			line, column := at(d)
			p.add(RuleDestination, line, column, "name each registry once", "the registry %s is named twice", d.Name)
			p.also(first.in(p.file))
			continue
		}
		seen[d.Name] = d
		destinations = append(destinations, d)
	}
	return source, destinations
}

// collection merges what a file says of each image.
type collection struct {
	list  []*Image
	index map[string]*merged
}

// merged is an image and what has been said of it.
type merged struct {
	*Image
	digests map[oci.Digest]int // index in Digests
	tags    map[string]int     // index in Digests of who has it
}

func (c *collection) image(name string, pos Pos) *merged {
	if c.index == nil {
		c.index = map[string]*merged{}
	}
	m := c.index[name]
	if m == nil {
		m = &merged{Image: &Image{Name: name, Pos: pos}, digests: map[oci.Digest]int{}, tags: map[string]int{}}
		c.index[name] = m
		c.list = append(c.list, m.Image)
	}
	return m
}

// images reads a list of images. What is wrong is reported and left out.
func (p *parser) images(n *yaml.Node) *collection {
	c := new(collection)
	if !p.container(n, yaml.SequenceNode, "a list of images") {
		return c
	}
	for _, e := range n.Content {
		if p.container(e, yaml.MappingNode, "an image: `name:` and `dmap:`") {
			p.image(e, c)
		} else if isNullNode(e) {
			p.fault(e, RuleShape, "", "expected an image, found nothing")
		}
	}
	return c
}

func (p *parser) image(n *yaml.Node, c *collection) {
	var name, dmap *yaml.Node
	p.keys(n, "keep one, or list the image twice", func(key string, k, v *yaml.Node) {
		switch key {
		case "name":
			name = v
		case "dmap":
			dmap = v
		default:
			p.fault(k, RuleUnknownKey, "known keys here: name, dmap", "unknown key %q", shorten(key))
		}
	})
	m := &merged{Image: new(Image), digests: map[oci.Digest]int{}, tags: map[string]int{}} // of an image without a name only faults are of interest
	if name == nil {
		p.fault(n, RuleMissingKey, "", "missing key %q", "name")
	} else if text, ok := p.word(name, "the name of an image"); ok && !oci.ValidName(text) {
		p.fault(name, RuleImage, "a name has lower-case letters and digits, with . _ - / between them", "expected the name of an image, found %q", shorten(text))
	} else if ok {
		m = c.image(text, posOf(name))
	}
	switch {
	case dmap == nil:
		p.fault(n, RuleMissingKey, "map each digest to its tags", "missing key %q", "dmap")
	case p.container(dmap, yaml.MappingNode, "digests and their tags"):
		p.keys(dmap, "write all of its tags into one list", func(digest string, k, v *yaml.Node) { p.digest(digest, k, v, m) })
	}
}

func (p *parser) digest(text string, k, v *yaml.Node, m *merged) {
	d, hint, err := checkDigest(text)
	if err != nil {
		p.fault(k, RuleDigest, hint, "%s", err)
	}
	at, known := -1, false
	if err == nil {
		if at, known = m.digests[d]; !known {
			at = len(m.Digests)
			m.digests[d] = at
			m.Digests = append(m.Digests, Promoted{Digest: d, Pos: posOf(k)})
		}
	}
	if !p.container(v, yaml.SequenceNode, "a list of tags") && !isNullNode(v) {
		return
	}
	if known && len(v.Content) == 0 {
		p.fault(k, RuleRepeated, "remove one", "the digest is promoted already")
		p.also(m.Digests[at].in(p.file))
		return
	}
	if known = known || at < 0; !known {
		m.Digests[at].Tags = make([]Tag, 0, len(v.Content))
	}
	for _, t := range v.Content {
		p.tag(t, m, at)
	}
}

// tag adds a tag to the digest at index at, which is -1 when the digest is wrong.
func (p *parser) tag(n *yaml.Node, m *merged, at int) {
	name, ok := p.word(n, "a tag")
	switch {
	case !ok:
		return
	case !oci.ValidTag(name):
		p.fault(n, RuleTag, fmt.Sprintf("a tag has at most %d letters, digits and . _ -, and begins with none of . and -", oci.MaxTag), "expected a tag, found %q", shorten(name))
		return
	case at < 0:
		m.unknown = append(m.unknown, Tag{Name: name, Pos: posOf(n)})
		return
	}
	owner, taken := m.tags[name]
	if !taken {
		m.tags[name] = at
		d := &m.Digests[at]
		d.Tags = append(d.Tags, Tag{Name: name, Pos: posOf(n)})
		return
	}
	other := &m.Digests[owner]
	var first Place
	for _, t := range other.Tags {
		if t.Name == name {
			first = t.in(p.file)
		}
	}
	if owner == at {
		p.fault(n, RuleRepeated, "remove one", "the digest has the tag %s already", name)
	} else {
		p.fault(n, RuleConflict, "a tag names one digest forever: give the new digest a new tag",
			"%s:%s is %s here and %s there", m.Name, name, m.Digests[at].Digest, other.Digest)
	}
	p.also(first)
}

func posOf(n *yaml.Node) Pos { return Pos{int32(n.Line), int32(n.Column)} }
