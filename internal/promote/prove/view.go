package prove

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// view is one repository that manifests name.
type view struct {
	*run
	*registry.View
	full   string
	wanted []wanted // each digest once
	tags   map[string]oci.Digest

	mu    sync.Mutex
	known map[oci.Digest]bool // promoted, or part of something promoted
}

// wanted is a digest that manifests require here.
type wanted struct {
	want
	digest oci.Digest
	tags   []string
	place  string
}

func newView(r *run, full string, list *registry.View, wants []want) *view {
	v := &view{run: r, View: list, full: full, tags: map[string]oci.Digest{}, known: map[oci.Digest]bool{}}
	index := map[oci.Digest]int{}
	for _, w := range wants {
		for n := range w.image.Digests {
			d := &w.image.Digests[n]
			at, ok := index[d.Digest]
			if !ok {
				at = len(v.wanted)
				index[d.Digest] = at
				v.known[d.Digest] = true
				v.wanted = append(v.wanted, wanted{want: w, digest: d.Digest, place: w.project.At(d.Pos).String()})
			}
			for _, t := range d.Tags {
				if _, again := v.tags[t.Name]; !again {
					v.tags[t.Name] = d.Digest
					v.wanted[at].tags = append(v.wanted[at].tags, t.Name)
				}
			}
			v.wanted[at].canonical = v.wanted[at].canonical || w.canonical
		}
	}
	return v
}

// compare examines everything in the repository. The error is ctx's.
func (v *view) compare(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(v.opt.Parallel)
	for i := range v.wanted {
		g.Go(func() error {
			v.one(inner, &v.wanted[i])
			return inner.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if !v.tree.Doubtful(v.full, true) {
		v.unexpectedTags(ctx)
		v.unexpectedManifests(ctx)
	}
	return ctx.Err()
}

// one examines a promoted digest and its tags.
func (v *view) one(ctx context.Context, w *wanted) {
	f := Finding{Repository: v.full, Digest: w.digest, Place: w.place}
	has := false
	var gone []string
	for _, tag := range w.tags {
		got, err := v.TagIs(ctx, tag, w.digest)
		switch {
		case err != nil:
			v.unknown(ctx, f, tag, err)
		case got.IsZero():
			gone = append(gone, tag)
		case got == w.digest:
			has = true
		case !referrersTag.MatchString(tag): // others may add to lists of referrers
			f := f
			f.Class, f.Tag, f.Found, f.Detail = Moved, tag, got, fmt.Sprintf("the tag is %s, not %s", got, w.digest)
			v.find(f)
		}
	}
	if !has {
		var err error
		if has, err = v.Has(ctx, w.digest); err == nil && !has && v.Complete() {
			has, err = v.Holds(ctx, w.digest) // lists lag behind recent pushes
		}
		if err != nil {
			v.unknown(ctx, f, "", err)
			return
		}
	}
	if !has {
		if v.opt.Lost[w.digest] {
			v.change(func(r *Report) {
				r.Lost++
				v.lost[w.digest] = true
			})
			return
		}
		f.Class, f.Detail = Missing, "the digest is not there"
		if len(gone) > 0 {
			f.Detail += ", nor its " + someTags(gone)
		}
		v.find(f)
		return
	}
	for _, tag := range gone {
		f := f
		f.Class, f.Tag, f.Detail = Missing, tag, "the digest is there, the tag is not"
		v.find(f)
	}
	v.content(ctx, w, f)
	v.signed(ctx, w, f)
}

func someTags(tags []string) string {
	const shown = 5
	text := "tags "
	if len(tags) == 1 {
		text = "tag "
	}
	text += strings.Join(tags[:min(len(tags), shown)], ", ")
	if len(tags) > shown {
		text += fmt.Sprintf(" and %d more", len(tags)-shown)
	}
	return text
}

// unknown records what could not be read, unless ctx has ended.
func (v *view) unknown(ctx context.Context, f Finding, tag string, err error) {
	if ctx.Err() == nil {
		f.Class, f.Tag, f.Detail = Unreadable, tag, err.Error()
		v.find(f)
	}
}

// referrersTag matches tags that list what refers to a digest: the fallback of the referrers API, and cosign's.
var referrersTag = regexp.MustCompile(`^(sha256)-([0-9a-f]{64})(\.[a-z]+)?$|^(sha512)-([0-9a-f]{64,128})(\.[a-z]+)?$`)

// unexpectedTags finds tags that no manifest lists. Lists of what refers to a promoted image belong to that image. It
// asks for each tag, because some registries list tags of deleted images.
func (v *view) unexpectedTags(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(v.opt.Parallel)
	for _, t := range v.Tags {
		if _, ok := v.tags[t.Name]; ok || v.belongs(t.Name) || v.opt.Allow.allows(v.full+":"+t.Name) {
			continue
		}
		g.Go(func() error {
			now, gone, err := v.Gone(ctx, t.Name)
			if err != nil {
				now = t.Digest // the list's digest
			}
			if !gone && ctx.Err() == nil {
				v.find(Finding{Class: Unexpected, Repository: v.full, Tag: t.Name, Found: now, Detail: "no manifest lists this tag"})
			}
			return nil
		})
	}
	_ = g.Wait() // findings are kept in v
}

func (v *view) belongs(tag string) bool {
	m := referrersTag.FindStringSubmatch(tag)
	if m == nil {
		return false
	}
	if v.opt.Read == Lists || m[4] != "" {
		return true // the parts of indexes are unknown; tags made from SHA-512 may be truncated
	}
	d, err := oci.ParseDigest(m[1] + ":" + m[2])
	return err == nil && v.known[d]
}

// unexpectedManifests finds manifests without a tag that no manifest lists, if the registry lists its manifests. They
// are neither a part of what is promoted, nor about it.
func (v *view) unexpectedManifests(ctx context.Context) {
	if v.opt.Read == Lists || !v.All {
		return
	}
	subjects := map[oci.Digest]oci.Digest{}
	var left []oci.Digest
	for i := range v.Manifests {
		m := &v.Manifests[i]
		if v.known[m.Digest] || v.opt.Allow.allows(v.full+"@"+m.Digest.String()) || len(m.Tags) > 0 {
			continue
		}
		subject, err := v.subject(ctx, m.Digest)
		if errors.Is(err, registry.ErrNotFound) {
			continue // listed, but deleted
		}
		if err != nil {
			v.unknown(ctx, Finding{Repository: v.full, Digest: m.Digest}, "", err)
			continue
		}
		subjects[m.Digest] = subject
		left = append(left, m.Digest)
	}
	for again := true; again; { // also referrers of referrers
		again = false
		left = slices.DeleteFunc(left, func(d oci.Digest) bool {
			if v.known[subjects[d]] {
				v.known[d], again = true, true
			}
			return v.known[d]
		})
	}
	for _, d := range left {
		v.find(Finding{Class: Unexpected, Repository: v.full, Digest: d, Detail: "no manifest lists this digest; it is no part of what is promoted, nor about it"})
	}
}

// subject returns what a manifest is about; zero: nothing. The errors are the registry's.
func (v *view) subject(ctx context.Context, d oci.Digest) (oci.Digest, error) {
	reg, name, err := v.regs.At(v.full)
	if err != nil {
		return oci.Digest{}, err
	}
	m, err := reg.Manifest(ctx, name, d.String())
	if err != nil || m.Subject() == nil {
		return oci.Digest{}, err
	}
	return m.Subject().Digest, nil
}
