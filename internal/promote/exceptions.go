package promote

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
)

// Idle is an operator's exception that changed nothing: it is misspelt, or no longer needed.
type Idle struct {
	Exception string `json:"exception"` // the flag that made it, without dashes
	What      string `json:"what"`
	Why       string `json:"why"`
}

// exceptions are the exceptions for one plan, and which of them were needed.
type exceptions struct {
	moves map[string]*atomic.Bool // by REPOSITORY:TAG or IMAGE:TAG; true: it let a tag move
	lost  map[oci.Digest]*atomic.Bool
}

func newExceptions(opt Options) *exceptions {
	e := &exceptions{moves: map[string]*atomic.Bool{}, lost: map[oci.Digest]*atomic.Bool{}}
	for _, name := range opt.AllowMove {
		e.moves[name] = new(atomic.Bool)
	}
	for d, lost := range opt.Lost {
		if lost {
			e.lost[d] = new(atomic.Bool)
		}
	}
	return e
}

// mayMove reports whether a tag may change its digest. Call it only if the tag has to change.
func (e *exceptions) mayMove(repository, image, tag string) bool {
	found := false
	for _, name := range []string{repository + ":" + tag, image + ":" + tag} {
		if used := e.moves[name]; used != nil {
			used.Store(true)
			found = true
		}
	}
	return found
}

// isLost reports whether a digest that no registry has is known to be gone.
func (e *exceptions) isLost(d oci.Digest) bool {
	used := e.lost[d]
	if used != nil {
		used.Store(true)
	}
	return used != nil
}

// idle returns the exceptions that changed nothing, in order. part is what was planned; whole is everything that the
// manifests say.
func (e *exceptions) idle(part, whole *manifest.Tree) (out []Idle) {
	if len(e.moves)+len(e.lost) == 0 {
		return nil
	}
	planned, named := e.named(part), e.named(whole)
	unnamed := "no manifest names it"
	if len(whole.Held) > 0 {
		unnamed = "no manifest names it, but for those that are held back"
	}
	add := func(exception, what string, used bool, idle string) {
		switch {
		case used:
		case !named[what]:
			out = append(out, Idle{exception, what, unnamed})
		case planned[what]:
			out = append(out, Idle{exception, what, idle})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.moves)) {
		add("allow-tag-move", name, e.moves[name].Load(), "the tag needs no move")
	}
	for _, d := range slices.SortedFunc(maps.Keys(e.lost), func(a, b oci.Digest) int { return strings.Compare(a.String(), b.String()) }) {
		add("lost", d.String(), e.lost[d].Load(), "it is not gone: it is in place, or can be copied")
	}
	return out
}

// named returns the exceptions that concern something in a tree.
func (e *exceptions) named(t *manifest.Tree) map[string]bool {
	out := map[string]bool{}
	note := func(name string) {
		if e.moves[name] != nil {
			out[name] = true
		}
	}
	for p, i := range t.Images() {
		for _, d := range i.Digests {
			if e.lost[d.Digest] != nil {
				out[d.Digest.String()] = true
			}
			for _, tag := range d.Tags {
				if len(e.moves) == 0 {
					break
				}
				note(i.Name + ":" + tag.Name)
				for _, to := range p.Destinations {
					note(to.Repository(i.Name) + ":" + tag.Name)
				}
			}
		}
	}
	return out
}
