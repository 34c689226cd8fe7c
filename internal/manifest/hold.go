package manifest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ociproxy/internal/oci"
)

// Held is something that is held back: nothing of it is promoted until its faults are repaired.
type Held struct {
	Project string   `json:"project,omitempty"` // empty: a file that belongs to no project
	Faults  []*Fault `json:"errors"`            // why; never empty
}

// What names it for operators.
func (h *Held) What() string {
	if h.Project == "" {
		return "a file of no project"
	}
	return "project " + oneLine(h.Project)
}

// Why returns the first fault, and how many more there are.
func (h *Held) Why() string {
	text := h.Faults[0].Error()
	if n := len(h.Faults) - 1; n == 1 {
		text += " (and 1 more error)"
	} else if n > 1 {
		text += fmt.Sprintf(" (and %d more errors)", n)
	}
	return text
}

// HeldBack returns an error that says what is held back; nil: nothing is.
func (t *Tree) HeldBack() error {
	if len(t.Held) == 0 {
		return nil
	}
	h := t.Held[0]
	text := h.What() + " is held back: " + h.Why()
	if n := len(t.Held) - 1; n > 0 {
		text = fmt.Sprintf("%s; and %d more", text, n)
	}
	return fmt.Errorf("promoter manifests in %s: %s: promote check finds all", t.Path, text)
}

// Hold is what of a tree may be promoted, t and err being what [Load] returned: all but the projects with an error,
// which are in Held, and those that lack one of their files, which are not. One project's error holds back no other,
// unless they say different things of one tag, or may do so:
//
//   - who claims a tag of which another project says something else is held back with it, also when the other's digest cannot be read;
//   - so is who promotes into a destination of a project whose images cannot be read: they may claim the same;
//   - and who promotes another digest under a tag that a project claims whose manifest is faulty, where that manifest names the place.
//
// With strict every warning is an error. Hash stays that of all files. The error is an *Errors with all errors when
// the tree as a whole cannot be read, or nothing is left to promote, though no file may have an error; other errors
// are those of Load.
func (t *Tree) Hold(err error, strict bool) (*Tree, error) {
	faults, bad := errors.AsType[*Errors](err)
	if err != nil && !bad {
		return nil, err
	}
	var all []*Fault
	if bad {
		all = faults.List
	}
	if t == nil {
		return nil, err
	}
	out := new(Tree)
	*out = *t
	if strict {
		all, out.Warnings = slices.Concat(all, t.Warnings), nil
	}
	held := map[string][]*Fault{}
	for _, f := range all {
		switch {
		case len(f.projects) > 0:
			for _, p := range f.projects {
				held[p] = append(held[p], f)
			}
		case f.Rule == RuleMisplaced, f.Rule == RuleUnread, f.Rule == RuleSymlink:
			out.Held = append(out.Held, &Held{Faults: []*Fault{f}})
		default:
			return nil, sorted(all)
		}
	}
	out.doubt = newDoubt(t, held)
	for _, name := range slices.Sorted(maps.Keys(held)) {
		out.Held = append(out.Held, &Held{Project: name, Faults: held[name]})
	}
	out.Projects = nil
	for _, p := range t.Projects {
		switch {
		case held[p.Name] != nil:
		case p.half():
			out.Halves = append(out.Halves, p.Name)
		default:
			out.Projects = append(out.Projects, p)
		}
	}
	if out.Edges() == 0 {
		if f := t.nothing(); f != nil && len(out.Held) == 0 {
			all = append(all, f)
		}
		return nil, sorted(all)
	}
	return out, nil
}

func sorted(all []*Fault) *Errors {
	slices.SortStableFunc(all, byPlace)
	return &Errors{all}
}

// half says that a file of the project is missing: it promotes nothing.
func (p *Project) half() bool { return p.noFile[0] || p.noFile[1] }

// doubt is what projects may claim of which not all is known: those that are held back, and those that lack a file.
type doubt struct {
	open   map[string]*Project   // by destination: those whose images are not known
	exact  map[string][]*claim   // by repository: what is known all the same
	images map[string]bool       // of projects whose destinations are not all known
	any    bool                  // neither is known of some project
	known  map[string][]*Project // owners of destinations, sound or not
}

// newDoubt finds what may be claimed, and adds to held the projects that may contradict it.
func newDoubt(t *Tree, held map[string][]*Fault) *doubt {
	d := &doubt{open: map[string]*Project{}, exact: map[string][]*claim{}, images: map[string]bool{}, known: t.owners}
	var sound []*Project
	for _, p := range t.Projects {
		if faults := held[p.Name]; len(faults) > 0 || p.half() {
			d.add(p, faults)
		} else {
			sound = append(sound, p)
		}
	}
	if len(held) == 0 {
		return d
	}
	var disputed []*Project
	for _, p := range sound {
		if f := d.against(p, held); f != nil {
			held[p.Name] = []*Fault{f}
			disputed = append(disputed, p)
		}
	}
	for _, p := range disputed {
		d.add(p, nil)
	}
	return d
}

func (d *doubt) add(p *Project, faults []*Fault) {
	open, vague := p.noFile[1], p.noFile[0]
	for _, f := range faults {
		switch {
		case f.Warning(), f.Rule == RuleConflict, f.Rule == RuleDigest: // the tags are known
		case f.File == p.File:
			vague = true
		default: // of the images, or of a file that nobody reads
			open = true
		}
	}
	if open && vague && len(p.Destinations)+len(p.mentions) == 0 && len(p.Images) == 0 {
		d.any = true
		return
	}
	for _, to := range p.places() {
		if open {
			d.open[to] = p
		}
		for _, i := range p.Images {
			repository := to + "/" + i.Name
			d.exact[repository] = append(d.exact[repository], &claim{p, i})
		}
	}
	if vague {
		for _, i := range p.Images {
			d.images[i.Name] = true
		}
	}
}

// places are the destinations of a project, and what may be some.
func (p *Project) places() []string {
	var out []string
	for _, d := range p.Destinations {
		out = append(out, d.Name)
	}
	for _, name := range p.mentions {
		if name != p.Source.Name && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// against is why a project may contradict one that is held back; nil: it cannot.
func (d *doubt) against(p *Project, held map[string][]*Fault) *Fault {
	for _, i := range p.Images {
		for _, to := range p.Destinations {
			repository := to.Repository(i.Name)
			if other := d.owner(repository); other != nil && held[other.Name] != nil {
				return disputed(p, i.Pos, other, fmt.Sprintf("the image goes to %s, and what the project %s promotes there cannot be read", repository, other.Name))
			}
			for _, c := range d.exact[repository] {
				if held[c.project.Name] == nil {
					continue
				}
				if tag := contradiction(i, c.image); tag != nil {
					return disputed(p, tag.Pos, c.project, fmt.Sprintf("the project %s, whose manifest is faulty, may promote another digest as %s:%s", c.project.Name, repository, tag.Name))
				}
			}
		}
	}
	return nil
}

func disputed(p *Project, at Pos, other *Project, message string) *Fault {
	return &Fault{
		Place: p.At(at), Rule: RuleDisputed, Message: message, Hint: "fix the errors of the project " + other.Name,
		Also: []Place{{File: other.ImagesFile}}, projects: []string{p.Name},
	}
}

// contradiction is a tag of an image that another image has with another digest.
func contradiction(i, other *Image) *Tag {
	tags := map[string]oci.Digest{}
	for _, d := range other.Digests {
		for _, t := range d.Tags {
			tags[t.Name] = d.Digest
		}
	}
	for _, t := range other.unknown {
		tags[t.Name] = oci.Digest{}
	}
	for _, d := range i.Digests {
		for n := range d.Tags {
			if was, ok := tags[d.Tags[n].Name]; ok && was != d.Digest {
				return &d.Tags[n]
			}
		}
	}
	return nil
}

// owner is the project of unknown images that a repository belongs to; nil: it belongs to another, or to none.
func (d *doubt) owner(repository string) *Project {
	for at := strings.LastIndexByte(repository, '/'); at > 0; at = strings.LastIndexByte(repository[:at], '/') {
		if p := d.open[repository[:at]]; p != nil {
			return p
		}
		if len(d.known[repository[:at]]) > 0 {
			return nil
		}
	}
	return nil
}

// Doubtful reports whether a project that is held back, or misses one of its files, may have promoted what a
// repository has, by the repository's full name. Then content that is in no manifest is not known to be wrong.
// claimed: a project that is not held back names the repository; then a guess is not enough.
func (t *Tree) Doubtful(repository string, claimed bool) bool {
	d := t.doubt
	switch {
	case d == nil:
		return false
	case len(d.exact[repository]) > 0, d.owner(repository) != nil:
		return true
	case claimed:
		return false
	case d.any:
		return true
	}
	for at := strings.IndexByte(repository, '/'); at > 0; {
		if d.images[repository[at+1:]] {
			return true
		}
		next := strings.IndexByte(repository[at+1:], '/')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return false
}

// place is what may be the name of a registry in a file that cannot be understood.
var place = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[A-Za-z0-9._-]+)+`)

// mentioned finds what a faulty manifest may mean by its registries: their likely spelling.
func mentioned(data []byte) (out []string) {
	for _, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range place.FindAllString(strings.ReplaceAll(line, "://", " "), -1) {
			if word = strings.ToLower(word); ValidRegistry(word) && !slices.Contains(out, word) {
				out = append(out, word)
			}
		}
	}
	return out
}
