package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/google"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// These are the bounds of lists.
const (
	pageSize       = 1000   // entries to ask for; some registries refuse more than 1000
	googlePageSize = 10_000 // the most that Artifact Registry lists; there is no second page (its quotas, 2023)

	maxPage  = 64 << 20  // bytes; Google sends a complete repository in one page
	maxPages = 10_000    // pages of one list
	maxList  = 1_000_000 // entries of one list

	maxListings = 8 // of Google's listings read at once: each may be large
)

// Listing is what a repository holds.
type Listing struct {
	Tags      []Tag    // by name
	Manifests []Listed // by digest; nil unless All
	Unusable  Unusable // entries that were left out
	All       bool     // Manifests has all manifests, also those without a tag: Google's listing
	Truncated bool     // the registry cuts its lists at this length: there may be more
}

// Tag is a tag of a listing.
type Tag struct {
	Name   string
	Digest oci.Digest // zero when the registry lists no digests
}

// Listed is a manifest of a listing.
type Listed struct {
	Digest    oci.Digest
	MediaType string
	Size      int64 // of the complete image, in bytes, as the registry counts
	Created   time.Time
	Uploaded  time.Time
	Tags      []string
}

// Found is a repository. It has the listing too where the way to find the repository returned one.
type Found struct {
	Name    string
	Listing *Listing // nil when the caller has to ask for it
	// Unusable says that the specification does not allow the name, so it cannot be requested. Name is then only fit for a
	// message.
	Unusable bool
}

// Repositories returns the names of all repositories below the prefix, without the prefix. A repository whose name is
// the prefix itself is not below it. Invalid names are left out. The last pair may be an error, and then there may be
// more repositories. The error is [ErrNoCatalog] when the registry lists no repositories.
func (r *Registry) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for f, err := range r.Find(ctx) {
			if !f.Unusable && !yield(f.Name, err) {
				return
			}
		}
	}
}

// Find does what Repositories does. It also returns invalid names ([Found.Unusable]), and listings where the way to find
// repositories (Google's) has them at no extra cost.
func (r *Registry) Find(ctx context.Context) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		if r.discovery != Catalog && r.prefix != "" {
			root, children, err := r.tags(ctx, "")
			switch {
			case err == nil && root.All:
				r.descend(ctx, root, children, yield)
				return
			case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnauthorized) || r.discovery == Google && err != nil:
				yield(Found{}, fmt.Errorf("list repositories of %s: %w", r, err))
				return
			}
		}
		if r.discovery == Google {
			yield(Found{}, fmt.Errorf("list repositories of %s: %w", r, ErrNoCatalog))
			return
		}
		r.catalog(ctx, yield)
	}
}

// descend walks Google's tree of repositories, several at once, in the same order each time. A repository that cannot
// be listed does not end the walk: descend returns it without a listing. The error comes last, because repositories
// below that one may be missing.
func (r *Registry) descend(ctx context.Context, root *Listing, names []string, yield func(Found, error) bool) {
	type answer struct {
		listing  *Listing
		children []string
		err      error
		unusable bool // the name is invalid
	}
	todo, seen := slices.Clone(names), 0
	slices.Reverse(todo) // the next one is at the end
	var last error
	if root.Truncated {
		last = errCut
	}
	answers := make([]answer, min(cap(r.budget.slots), maxListings))
	for len(todo) > 0 {
		n := min(len(todo), len(answers))
		batch := slices.Clone(todo[len(todo)-n:])
		slices.Reverse(batch)
		todo = todo[:len(todo)-n]
		var all sync.WaitGroup
		for i, name := range batch {
			if a := &answers[i]; oci.ValidName(r.Path(name)) {
				all.Go(func() { a.listing, a.children, a.err = r.tags(ctx, name) })
			} else {
				a.unusable = true
			}
		}
		all.Wait()
		if ctx.Err() != nil {
			yield(Found{}, fmt.Errorf("list repositories of %s: %w", r, context.Cause(ctx)))
			return
		}
		for i, name := range slices.Backward(batch) {
			for _, child := range slices.Backward(answers[i].children) {
				todo = append(todo, name+"/"+child)
			}
		}
		if seen += n; seen+len(todo) > maxList {
			yield(Found{}, fmt.Errorf("list repositories of %s: %w: more than %d", r, ErrTooLarge, maxList))
			return
		}
		for i, name := range batch {
			a := &answers[i]
			switch gone, _ := Gone(a.err); {
			case gone: // deleted since it was listed
				*a = answer{}
				continue
			case a.unusable:
				name = clean(name)
			case a.err != nil:
				last = cmp.Or(last, fmt.Errorf("below %s: %w", name, a.err))
				a.listing = nil // a caller that asks for it gets the error
			default:
				if a.listing.Truncated && len(a.children) > 0 {
					last = cmp.Or(last, errCut)
				}
				if len(a.listing.Manifests) == 0 && len(a.listing.Tags) == 0 {
					continue // a directory that contains only directories is not a repository
				}
			}
			if !yield(Found{Name: name, Listing: a.listing, Unusable: a.unusable}, nil) {
				return
			}
			*a = answer{}
		}
	}
	if last != nil {
		yield(Found{}, fmt.Errorf("list repositories of %s: %w", r, last))
	}
}

// errCut means that Google's list of repositories may be cut off.
var errCut = fmt.Errorf("%w: the registry names at most %d", ErrTooLarge, googlePageSize)

// catalog reads the names from the registry, and leaves out names that are not below the prefix.
func (r *Registry) catalog(ctx context.Context, yield func(Found, error) bool) {
	c := call{method: http.MethodGet, url: r.url("_catalog", url.Values{"n": {strconv.Itoa(pageSize)}}), scopes: catalog()}
	stop := errors.New("stop")
	err := r.pages(ctx, c, func(raw []byte) (int, error) {
		var page struct {
			Repositories texts `json:"repositories"`
		}
		if err := decode(raw, &page, pageBounds, ErrBadAnswer); err != nil {
			return 0, err
		}
		for _, name := range page.Repositories {
			short := name
			if r.prefix != "" {
				var ok bool
				if short, ok = strings.CutPrefix(name, r.prefix+"/"); !ok {
					continue
				}
			}
			f := Found{Name: short, Unusable: !oci.ValidName(name)}
			if f.Unusable {
				f.Name = clean(short)
			}
			if !yield(f, nil) {
				return 0, stop
			}
		}
		return len(page.Repositories), nil
	})
	if refusal, ok := errors.AsType[*StatusError](err); ok && refusesCatalog(refusal) {
		err = fmt.Errorf("%w: %w", ErrNoCatalog, refusal)
	}
	if err != nil && !errors.Is(err, stop) {
		yield(Found{}, fmt.Errorf("list repositories of %s: %w", r, err))
	}
}

func refusesCatalog(e *StatusError) bool {
	switch e.Code {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotImplemented, http.StatusBadRequest:
		return true
	}
	return false
}

// List returns the tags of a repository, with digests and untagged manifests where the registry reports them. The error
// is [ErrNotFound] when the repository does not exist; some registries answer so for an empty repository. With any
// error, the listing has what was read before it, and is nil when nothing was read.
func (r *Registry) List(ctx context.Context, repo string) (*Listing, error) {
	l, _, err := r.tags(ctx, repo)
	if err != nil {
		err = fmt.Errorf("list %s: %w", r.spell(repo, "*"), err)
	}
	return l, err
}

// tags reads a list of tags. It recognizes Google's extension by its members, whichever host sends them. With an error,
// the listing has what was read before it, or is nil.
func (r *Registry) tags(ctx context.Context, repo string) (*Listing, []string, error) {
	if err := r.checkRepo(repo); err != nil {
		return nil, nil, err
	}
	size := pageSize
	if strings.HasSuffix(r.host, ".pkg.dev") || r.host == "gcr.io" || strings.HasSuffix(r.host, ".gcr.io") {
		size = googlePageSize
	}
	for {
		c := call{method: http.MethodGet, url: r.url(r.Path(repo)+"/tags/list", url.Values{"n": {strconv.Itoa(size)}}), scopes: r.pull(repo)}
		g := gathering{tags: map[string]oci.Digest{}}
		if err := r.pages(ctx, c, g.page); err != nil {
			if g.pages == 0 {
				return nil, nil, err
			}
			if errors.Is(err, ErrNotFound) { // the page is missing, not the repository
				err = fmt.Errorf("%w: page %d: %s", ErrBadAnswer, g.pages+1, err.Error())
			}
			return g.listing(), g.children, err
		}
		full := g.all && g.last >= size
		if full && size < googlePageSize {
			size = googlePageSize
			continue
		}
		l := g.listing()
		l.Truncated = full
		return l, g.children, nil
	}
}

// gathering collects the pages of a list of tags.
type gathering struct {
	tags      map[string]oci.Digest
	manifests []Listed
	children  []string
	unusable  Unusable
	all       bool
	pages     int
	last      int // entries of the longest list on the last page
}

// page takes one page, and returns how many entries are new.
func (g *gathering) page(raw []byte) (int, error) {
	var page struct { // as in package google, but with entries of any kind
		Children  texts                      `json:"child"`
		Manifests map[string]json.RawMessage `json:"manifest"`
		Tags      texts                      `json:"tags"`
	}
	if err := decode(raw, &page, pageBounds, ErrBadAnswer); err != nil {
		return 0, err
	}
	before := g.len()
	g.pages++
	g.all = g.all || page.Manifests != nil || page.Children != nil
	g.last = max(len(page.Tags), len(page.Manifests), len(page.Children))
	g.children = append(g.children, page.Children...)
	for _, tag := range page.Tags {
		if _, ok := g.tags[tag]; !ok {
			g.tag(tag, oci.Digest{})
		}
	}
	for text, raw := range page.Manifests {
		d, err := oci.ParseDigest(text)
		if err != nil {
			g.unusable.add("manifest", text)
			continue
		}
		g.manifest(d, raw)
	}
	return g.len() - before, nil
}

func (g *gathering) len() int {
	return len(g.tags) + len(g.manifests) + len(g.children) + g.unusable.Count
}

func (g *gathering) tag(name string, d oci.Digest) {
	if !oci.ValidTag(name) {
		g.unusable.add("tag", name)
		return
	}
	g.tags[name] = d
}

// manifest takes an entry of Google's list. The digest counts even if the description of the manifest cannot be parsed.
func (g *gathering) manifest(d oci.Digest, raw []byte) {
	var info google.ManifestInfo
	if json.Unmarshal(raw, &info) != nil {
		info = google.ManifestInfo{}
	}
	if len(info.Tags) == 0 || slices.Contains(info.Tags, "") { // null decodes to ""
		var some struct {
			Tags texts `json:"tag"`
		}
		_ = json.Unmarshal(raw, &some) // on an error it has no tags that we know of
		info.Tags = some.Tags
	}
	for _, tag := range info.Tags {
		g.tag(tag, d)
	}
	g.manifests = append(g.manifests, Listed{
		Digest: d, MediaType: clean(info.MediaType), Size: int64(min(info.Size, 1<<62)), Created: info.Created, Uploaded: info.Uploaded, Tags: info.Tags,
	})
}

// listing sorts what has been collected.
func (g *gathering) listing() *Listing {
	l := &Listing{Manifests: g.manifests, Unusable: g.unusable, All: g.all}
	for tag, d := range g.tags {
		l.Tags = append(l.Tags, Tag{tag, d})
	}
	slices.SortFunc(l.Tags, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(l.Manifests, func(a, b Listed) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
	return l
}

// pages reads a list to its end. take gets the body of each page and returns how many entries the page had.
func (r *Registry) pages(ctx context.Context, c call, take func([]byte) (int, error)) error {
	seen, entries := map[string]bool{c.url.RequestURI(): true}, 0
	for range maxPages {
		resp, err := r.do(ctx, c, http.StatusOK)
		if err != nil {
			return err
		}
		raw, err := r.whole(resp, maxPage)
		if err != nil {
			return err
		}
		n, err := take(raw)
		if err != nil {
			return err
		}
		if entries += n; entries > maxList {
			return fmt.Errorf("%w: more than %d entries", ErrTooLarge, maxList)
		}
		links, err := outbound.NextLinks(resp.Header)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadAnswer, err)
		}
		if len(links) == 0 {
			return nil
		}
		next, err := follow(c.url, links[0])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadAnswer, err)
		}
		if seen[next.RequestURI()] {
			return fmt.Errorf("%w: the pages go round in a circle", ErrBadAnswer)
		}
		seen[next.RequestURI()] = true
		c.url = next
	}
	return fmt.Errorf("%w: more than %d pages", ErrTooLarge, maxPages)
}
