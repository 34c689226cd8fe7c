package manifest

import (
	"fmt"
	"slices"

	"ociproxy/internal/oci"
)

// claim is one image of one project on its way to a repository.
type claim struct {
	project *Project
	image   *Image
}

// between finds what contradicts or repeats itself between projects. Destinations may nest, so the same repository can be
// reached by different splits of its name: everything is compared by the full name.
func (t *Tree) between() []*Fault {
	first := make(map[string]claim)
	shared := make(map[string][]claim)
	var faults []*Fault
	for p, i := range t.Images() {
		nested := false
		for _, d := range p.Destinations {
			repository := d.Repository(i.Name)
			c := claim{p, i}
			if f, taken := first[repository]; !taken {
				first[repository] = c
			} else if all, more := shared[repository]; more {
				shared[repository] = append(all, c)
			} else {
				shared[repository] = []claim{f, c}
			}
			if owner, _, ok := t.Owner(repository); ok && owner != d.Name && !nested && !slices.Contains(t.Owners(owner), p) {
				nested = true
				faults = append(faults, &Fault{
					Place: p.At(i.Pos), Rule: RuleNested, Also: []Place{t.placeOf(owner)}, projects: []string{p.Name},
					Message: fmt.Sprintf("the image goes to %s, which lies in %s, a destination of the project %s", repository, owner, t.owners[owner][0].Name),
					Hint:    "promote it from the project that owns the destination",
				})
			}
		}
	}
	m := merger{said: map[[2]Place]*Fault{}, more: map[*Fault]int{}}
	for _, repository := range sortedKeys(shared) {
		m.merge(repository, shared[repository])
	}
	for f, n := range m.more {
		f.Message += fmt.Sprintf(" (and so in %d more repositories)", n)
	}
	return append(faults, m.faults...)
}

func (t *Tree) placeOf(destination string) Place {
	p := t.owners[destination][0]
	for _, d := range p.Destinations {
		if d.Name == destination {
			return d.in(p.File)
		}
	}
	return Place{File: p.File}
}

// merger compares what several images say of one repository. Two projects with the same forty destinations contradict each
// other once, not forty times.
type merger struct {
	faults []*Fault
	said   map[[2]Place]*Fault
	more   map[*Fault]int
}

// said is what a claim says of a tag, or of a digest without one.
type said struct {
	digest oci.Digest // zero: it cannot be read
	at     Place
	claim  int
}

// claimed is a tag, what was said of it first, and by whom it is claimed.
type claimed struct {
	said
	projects []string
	fault    *Fault // they contradict each other
}

func (m *merger) merge(repository string, claims []claim) {
	tags := map[string]*claimed{}
	digests := map[oci.Digest]said{}
	for n, c := range claims {
		for _, d := range c.image.Digests {
			if len(d.Tags) == 0 {
				at := c.project.At(d.Pos)
				if other, ok := digests[d.Digest]; ok && other.claim != n {
					m.redundant(other.at, at, repository+"@"+d.Digest.String(), c.project.Name, claims[other.claim].project.Name)
				} else {
					digests[d.Digest] = said{d.Digest, at, n}
				}
			}
			for _, t := range d.Tags {
				m.tag(repository, tags, t.Name, said{d.Digest, c.project.At(t.Pos), n}, c.project.Name)
			}
		}
		for _, t := range c.image.unknown {
			m.tag(repository, tags, t.Name, said{at: c.project.At(t.Pos), claim: n}, c.project.Name)
		}
	}
}

// tag compares what a project says of a tag with what was said before. A contradiction is about all who claim the
// tag: nobody knows who is right.
func (m *merger) tag(repository string, tags map[string]*claimed, name string, s said, project string) {
	other := tags[name]
	if other == nil {
		tags[name] = &claimed{said: s, projects: []string{project}}
		return
	}
	if other.claim == s.claim { // a contradiction inside of one file, which is reported there
		return
	}
	other.projects = append(other.projects, project)
	switch {
	case other.digest != s.digest || s.digest.IsZero():
		other.fault = m.say(other.at, s.at, RuleConflict, "a tag names one digest forever: give the new digest a new tag",
			fmt.Sprintf("%s:%s is %s here and %s there", repository, name, spelled(s.digest), spelled(other.digest)))
	default:
		m.redundant(other.at, s.at, repository+":"+name, other.projects...)
	}
	if other.fault != nil {
		for _, p := range other.projects {
			other.fault.about(p)
		}
	}
}

func spelled(d oci.Digest) string {
	if d.IsZero() {
		return "a digest that cannot be read"
	}
	return d.String()
}

func (m *merger) redundant(first, second Place, what string, projects ...string) {
	f := m.say(first, second, RuleRedundant, "promote it from one project", what+" is promoted already")
	for _, p := range projects {
		f.about(p)
	}
}

func (m *merger) say(first, second Place, rule Rule, hint, message string) *Fault {
	if f, again := m.said[[2]Place{first, second}]; again {
		m.more[f]++
		return f
	}
	f := &Fault{Place: second, Rule: rule, Message: message, Hint: hint, Also: []Place{first}}
	m.said[[2]Place{first, second}] = f
	m.faults = append(m.faults, f)
	return f
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
