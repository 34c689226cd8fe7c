package mirror

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// visitor is what a walk is for. Its methods are called from several goroutines.
type visitor interface {
	// known says that a manifest need not be read: whatever belongs to it is where it should be.
	known(d oci.Digest) bool
	// ripe says that the referrers of a manifest that is known should be asked for all the same.
	ripe(d oci.Digest) bool
	// blob takes a blob of a manifest. It may keep n from finishing: graph.release ends each n.pending.Add(1).
	blob(ctx context.Context, n *node, b registry.Descriptor)
	// skipped takes content that is not copied, and why.
	skipped(repo string, b registry.Descriptor, why string)
	// finished is called when nothing of n is on its way any more.
	finished(n *node)
	// problem takes what could not be read.
	problem(repo, ref string, err error)
	// listed takes the number of manifests and tags of one repository.
	listed(repo string, images int)
}

// Bounds of a walk from one listed manifest. They stop what is malicious or broken, not what is large.
const (
	maxDepth = 16      // indexes in indexes, referrers of referrers
	maxBelow = 100_000 // manifests
	maxOpen  = 20_000  // listed manifests that wait for blobs, at once: more than there may be blobs on their way, or one slow store would end the walk
)

// denied is why content is left out that the config denies.
const denied = "denied"

var errNested = errors.New("more is nested in it than is followed")

// walker walks a source once.
type walker struct {
	src   *Source
	to    visitor
	graph *graph
	open  chan struct{}                   // listed manifests in work
	read  func(*node, *registry.Manifest) // is given every manifest that is read; may be nil
	below bool                            // what an artifact is about is not walked

	referrers *lookup
	hits      atomic.Int64 // tags whose manifest was known when it was looked for
	misses    atomic.Int64
	answers   atomic.Int64 // of the source, good ones
	vain      atomic.Int64
	stop      context.CancelCauseFunc
}

func newWalker(src *Source, to visitor) *walker {
	w := &walker{src: src, to: to, open: make(chan struct{}, maxOpen), referrers: new(lookup)}
	w.misses.Store(1) // reading too much costs bytes, resolving in vain a request
	w.graph = newGraph(func(n *node) {
		to.finished(n)
		if n.root {
			<-w.open
		}
	})
	return w
}

// ErrSource says that the source gave no answer at all.
var ErrSource = errors.New("the source does not answer")

// ErrNothing says that there is nothing to walk: a pattern that matches nothing must not look like a mirror that is complete.
var ErrNothing = errors.New("no repository is selected: none that the source lists matches mirror.repositories, or all are excluded")

// errCut says that the source may have more than it lists: Artifact Registry ends its lists without a word.
var errCut = fmt.Errorf("%w: the list ends where the registry ends all its lists, there may be more images: name them by promoter manifests", registry.ErrTooLarge)

// maxVain is how many failures in a row, from the start on, mean that the source cannot be reached.
const maxVain = 20

// walk returns when everything was read; blobs may still be on their way. It fails when ctx ends, when the source cannot be listed
// at all, or does not answer: then stop, which ends ctx, is called.
func (w *walker) walk(ctx context.Context, stop context.CancelCauseFunc) error {
	w.stop = stop
	var roots, repos errgroup.Group
	roots.SetLimit(max(1, w.src.Parallel))
	repos.SetLimit(max(1, w.src.Parallel/2))
	var failed error
	none := true
	for t, err := range w.src.Select.targets(ctx, w.src.Registry) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			failed = err
			continue
		}
		none = false
		repos.Go(func() error {
			w.repository(ctx, t, &roots)
			return nil
		})
	}
	_ = repos.Wait() // the functions return no errors: each image has its own
	_ = roots.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if none && failed == nil {
		return ErrNothing
	}
	return failed
}

// heard notes whether the source answered, for the case that it never does.
func (w *walker) heard(err error) {
	if err == nil || errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnauthorized) || errors.Is(err, registry.ErrInvalid) {
		w.answers.Add(1)
		return
	}
	if n := w.vain.Add(1); n >= maxVain && w.answers.Load() == 0 {
		w.stop(fmt.Errorf("%w: %w", ErrSource, err))
	}
}

// repository lists one repository and hands what it has to roots.
func (w *walker) repository(ctx context.Context, t target, roots *errgroup.Group) {
	l := t.listing
	if l == nil {
		var err error
		l, err = w.src.Registry.List(ctx, t.name)
		if w.heard(err); err != nil {
			w.unread(ctx, t.name, "", err)
			if t.digests == nil || ctx.Err() != nil {
				return
			}
			l = &registry.Listing{} // the digests are known without a list
		}
	}
	if l.Truncated {
		w.unread(ctx, t.name, "", errCut)
	}
	start := func(walk func()) {
		if ctx.Err() == nil {
			roots.Go(func() error { walk(); return nil })
		}
	}
	if t.digests != nil {
		w.promoted(ctx, t, l, start)
		return
	}
	if l.All {
		w.to.listed(t.name, len(l.Manifests))
		for _, m := range l.Manifests {
			start(func() {
				w.root(ctx, &node{repo: t.name, digest: m.Digest, at: arrival(m)})
			})
		}
		return
	}
	w.to.listed(t.name, len(l.Tags))
	for _, tag := range l.Tags {
		start(func() { w.tag(ctx, t.name, tag) })
	}
}

// arrival is when an image came into the source, as far as a listing says.
func arrival(m registry.Listed) time.Time {
	if !m.Uploaded.IsZero() {
		return m.Uploaded
	}
	if m.Created.Year() > 1990 { // reproducible builds say 1970 or 1980
		return m.Created
	}
	return time.Time{}
}

// about are the tags of what refers to an image: the fallback tags of referrers, and cosign's.
var about = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$`)

// promoted walks the manifests that promoter manifests name, and what the tags of the repository say about these.
func (w *walker) promoted(ctx context.Context, t target, l *registry.Listing, start func(func())) {
	w.to.listed(t.name, len(t.digests))
	named := map[string]bool{}
	for _, d := range t.digests {
		named[registry.FallbackTag(d)] = true
		start(func() { w.root(ctx, &node{repo: t.name, digest: d, ask: true}) })
	}
	for _, tag := range l.Tags {
		if about.MatchString(tag.Name) && named[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(tag.Name, ".sig"), ".att"), ".sbom")] {
			start(func() { w.tag(ctx, t.name, tag) })
		}
	}
}

// tag walks what a tag refers to. Where the list had no digest the tag is resolved first, or read at once: whichever was the better guess
// so far. A pass over empty stores so reads each manifest with one request.
func (w *walker) tag(ctx context.Context, repo string, tag registry.Tag) {
	n := &node{repo: repo, digest: tag.Digest, ask: true}
	if !tag.Digest.IsZero() {
		w.root(ctx, n)
		return
	}
	if w.misses.Load() <= w.hits.Load() {
		d, err := w.src.Registry.Resolve(ctx, repo, tag.Name)
		if w.heard(err); err != nil {
			w.unread(ctx, repo, tag.Name, err)
			return
		}
		w.guessed(d.Digest)
		n.digest = d.Digest
		w.root(ctx, n)
		return
	}
	m, err := w.src.Registry.Manifest(ctx, repo, tag.Name)
	if w.heard(err); err != nil {
		w.unread(ctx, repo, tag.Name, err)
		return
	}
	n.digest = m.Digest
	w.guessed(m.Digest)
	if w.to.known(m.Digest) {
		w.root(ctx, n)
	} else if w.enter(ctx, n) {
		below := maxBelow
		w.contents(ctx, n, m, &below, 0)
	}
}

// unread takes a tag that cannot be read.
func (w *walker) unread(ctx context.Context, repo, tag string, err error) {
	if ctx.Err() == nil {
		w.to.problem(repo, tag, err)
	}
}

func (w *walker) guessed(d oci.Digest) {
	if w.to.known(d) || w.graph.seen(d) {
		w.hits.Add(1)
	} else {
		w.misses.Add(1)
	}
}

// root walks a manifest that the source lists, unless it is known.
func (w *walker) root(ctx context.Context, n *node) {
	if w.src.Denied(n.digest) {
		w.to.skipped(n.repo, registry.Descriptor{Digest: n.digest, Size: -1}, denied)
		return
	}
	if w.to.known(n.digest) {
		if w.graph.note(n.digest) && n.ask && w.to.ripe(n.digest) {
			below := maxBelow
			w.referring(ctx, n, n.digest, &below, 1)
		}
		return
	}
	if !w.enter(ctx, n) {
		return
	}
	m, err := w.src.Registry.Manifest(ctx, n.repo, n.digest.String())
	if w.heard(err); err != nil {
		w.broken(ctx, n, err)
		return
	}
	below := maxBelow
	w.contents(ctx, n, m, &below, 0)
}

// enter begins the work on a listed manifest, unless somebody has.
func (w *walker) enter(ctx context.Context, n *node) bool {
	select {
	case w.open <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	n.root = true
	if fresh, _ := w.graph.enter(n, nil); fresh == nil {
		<-w.open
		return false
	}
	return true
}

// contents hands on what belongs to n, and walks what is below it and what refers to it. It releases n.
func (w *walker) contents(ctx context.Context, n *node, m *registry.Manifest, below *int, depth int) {
	defer w.graph.release(n)
	n.size = m.Size
	if w.read != nil {
		w.read(n, m)
	}
	for _, b := range m.Skipped() {
		w.to.skipped(n.repo, b, "not to be distributed: "+strings.Join(b.URLs, " "))
	}
	for _, b := range m.Blobs() {
		w.to.blob(ctx, n, b)
	}
	for _, c := range m.Children() {
		w.child(ctx, n, c, below, depth+1)
	}
	if s := m.Subject(); s != nil && !w.below {
		w.aside(ctx, n, *s, below, depth+1)
	}
	if n.ask {
		w.referring(ctx, n, n.digest, below, depth+1)
	}
}

// fits counts one more manifest below a listed one.
func (w *walker) fits(below *int, depth int) bool {
	*below--
	return *below >= 0 && depth <= maxDepth
}

// child walks what an index lists. The index waits for it.
func (w *walker) child(ctx context.Context, n *node, d registry.Descriptor, below *int, depth int) {
	if ctx.Err() != nil {
		n.failed.Store(true)
		return
	}
	if w.src.Denied(d.Digest) {
		n.partial.Store(true)
		w.to.skipped(n.repo, d, denied)
		return
	}
	n.addChild(d.Digest)
	if w.to.known(d.Digest) {
		w.graph.note(d.Digest)
		return
	}
	c, what := w.graph.enter(&node{repo: n.repo, digest: d.Digest, ask: n.ask, at: n.at}, n)
	if c == nil {
		if what == isBlob {
			w.asBlob(ctx, n, d)
		}
		return
	}
	if !w.fits(below, depth) {
		w.broken(ctx, c, errNested)
		return
	}
	m, blob, err := w.src.Registry.Child(ctx, n.repo, d)
	w.heard(err)
	switch {
	case err != nil:
		w.broken(ctx, c, err)
	case blob:
		for _, parent := range w.graph.abandon(c) {
			w.asBlob(ctx, parent, d)
			w.graph.release(parent)
		}
	default:
		w.contents(ctx, c, m, below, depth)
	}
}

// asBlob turns what n lists among its manifests into one of its blobs.
func (w *walker) asBlob(ctx context.Context, n *node, d registry.Descriptor) {
	n.notChild(d.Digest)
	w.to.blob(ctx, n, d)
}

// broken ends the work on a manifest that cannot be read.
func (w *walker) broken(ctx context.Context, n *node, err error) {
	if ctx.Err() == nil {
		w.to.problem(n.repo, n.digest.String(), err)
	}
	n.failed.Store(true)
	w.graph.release(n)
}

// aside walks a manifest that belongs to the source but not to the image at hand: what an artifact is about, or what refers to the
// image. That it is not there is nobody's fault.
func (w *walker) aside(ctx context.Context, from *node, d registry.Descriptor, below *int, depth int) {
	if ctx.Err() != nil || w.src.Denied(d.Digest) {
		return
	}
	if w.to.known(d.Digest) {
		w.graph.note(d.Digest)
		return
	}
	if !w.fits(below, depth) {
		return
	}
	n, _ := w.graph.enter(&node{repo: from.repo, digest: d.Digest, ask: from.ask}, nil)
	if n == nil {
		return
	}
	m, err := w.src.Registry.Manifest(ctx, n.repo, n.digest.String())
	w.heard(err)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		n.void.Store(true)
		w.graph.release(n)
	case err != nil:
		w.broken(ctx, n, err)
	default:
		w.contents(ctx, n, m, below, depth)
	}
}

// referring walks what refers to a manifest, where the registry has an API for that: without one it is found by its tags.
func (w *walker) referring(ctx context.Context, from *node, d oci.Digest, below *int, depth int) {
	if !w.src.Referrers || depth > maxDepth || ctx.Err() != nil {
		return
	}
	refs, err := w.referrers.ask(ctx, w.src.Registry, from.repo, d)
	if err != nil && ctx.Err() == nil {
		w.to.problem(from.repo, d.String(), err)
	}
	for _, r := range refs {
		w.aside(ctx, from, r, below, depth)
	}
}

// lookup asks for referrers as long as there is an API for that.
type lookup struct {
	mu    sync.Mutex // held by the first to ask
	asked atomic.Bool
	none  atomic.Bool
}

func (l *lookup) ask(ctx context.Context, r *registry.Registry, repo string, d oci.Digest) ([]registry.Descriptor, error) {
	if l.none.Load() {
		return nil, nil
	}
	if !l.asked.Load() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.none.Load() {
			return nil, nil
		}
	}
	refs, api, err := r.Referrers(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	l.asked.Store(true)
	l.none.Store(!api)
	return refs, nil
}
