package walk

import (
	"cmp"
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

// These bound a walk from one listed manifest. They stop malicious or broken content, not large content.
const (
	maxDepth = 16      // indexes in indexes, referrers of referrers
	maxBelow = 100_000 // manifests
	maxOpen  = 20_000  // listed manifests that wait for blobs, at once: more than there may be blobs on their way, or one slow store would end the walk
)

// Denied is the reason for leaving out content that the config denies.
const Denied = "denied"

// ErrNested says that a manifest nests more than the walker follows.
var ErrNested = errors.New("more is nested in it than is followed")

// Walker walks a source once. Several goroutines may call its methods at any time, except Walk.
type Walker struct {
	src   *Source
	to    Visitor
	graph *graph
	ctx   context.Context                 // of the walk, for what is walked again
	open  chan struct{}                   // listed manifests in work
	read  func(*Node, *registry.Manifest) // is given every manifest that is read; may be nil
	below bool                            // what an artifact is about is not walked
	most  int                             // manifests below a listed one

	referrers *lookup
	hits      atomic.Int64 // tags whose manifest was known when it was looked for
	misses    atomic.Int64
	answers   atomic.Int64 // of the source, good ones
	failures  atomic.Int64
	vanished  atomic.Int64 // repositories that are listed and gone
	untold    atomic.Int64 // what is listed and gone, where the source named no reason
	nameless  atomic.Int64 // tags that could not be read, so that nobody knows of which manifest they are
	stop      context.CancelCauseFunc

	mu      sync.Mutex
	queue   []*Node // to be walked by another reference, since one was without success
	workers int     // who do so
}

// New makes a walker that reports what it finds to to.
func New(src *Source, to Visitor) *Walker {
	w := &Walker{src: src, to: to, open: make(chan struct{}, maxOpen), most: maxBelow, referrers: new(lookup)}
	w.misses.Store(1) // reading too much costs bytes, resolving without success a request
	w.graph = newGraph()
	w.graph.given = func(n *Node) {
		if n.root {
			<-w.open
		}
	}
	w.graph.finished = func(n *Node) {
		to.Finished(n)
		w.graph.given(n)
	}
	w.graph.retry, w.graph.sized, w.graph.missing = w.again, w.sized, w.missing
	return w
}

// ErrSource says that the source gave no answer at all.
var ErrSource = errors.New("the source does not answer")

// ErrNothing says that there is nothing to walk: a pattern that matches nothing must not look like a complete mirror.
var ErrNothing = errors.New("no repository is selected: none that the source lists matches mirror.repositories, or all are excluded")

// ErrVanished says that the source has nothing of what it lists itself. Some registries answer like this to a client
// that may not read, and so does a front that cannot reach its registry. Without an error that would look like a
// complete mirror.
var ErrVanished = errors.New("the source lists repositories or tags and says of each that there is none: are these " +
	"credentials allowed to read, and is it the registry that answers?")

// errCut says that the source may have more than it lists: Artifact Registry ends its lists without a notice.
var errCut = fmt.Errorf("%w: the list ends where the registry ends all its lists, there may be more images: name them by promoter manifests", registry.ErrTooLarge)

// maxFailures is how many failures in a row, from the start on, mean that the source cannot be reached.
const maxFailures = 20

// Release ends one hold of n. After the last one n finishes, and so may the indexes that wait for it.
func (w *Walker) Release(n *Node) { w.graph.release(n) }

// Counts returns how many manifests were met, and how many of them the visitor knew.
func (w *Walker) Counts() (met, known int64) {
	met, known = w.graph.counts()
	return met + w.Nameless(), known
}

// Nameless returns how many of the met manifests have no node and never finish: their tags could not be read.
func (w *Walker) Nameless() int64 { return w.nameless.Load() }

// Walk returns when everything was read. Nodes may still be held, and failed references may be walked again: see
// [Walker.Wait]. It fails when ctx ends, and when the source cannot be listed at all or does not answer. Then it
// calls stop, which must end ctx.
func (w *Walker) Walk(ctx context.Context, stop context.CancelCauseFunc) error {
	w.stop, w.ctx = stop, ctx
	var roots, repos errgroup.Group
	roots.SetLimit(max(1, w.src.Parallel))
	repos.SetLimit(max(1, w.src.Parallel/2))
	var failed error
	targets := int64(0)
	for t, err := range w.src.Select.targets(ctx, w.src.Registry) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			failed = err
			continue
		}
		targets++
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
	switch {
	case failed != nil:
		return failed
	case targets == 0:
		return ErrNothing
	case targets == w.vanished.Load():
		return ErrVanished
	}
	if met, _ := w.Counts(); met == 0 && w.untold.Load() > 0 {
		return ErrVanished
	}
	return nil
}

// Wait waits, after Walk, until every node has finished. Release all held nodes.
func (w *Walker) Wait() { w.graph.idle() }

// again walks a manifest by another reference, soon.
func (w *Walker) again(n *Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, n)
	if w.workers < max(1, w.src.Parallel/2) {
		w.workers++
		go w.retries()
	}
}

// retries walks what is to be walked again, as long as there is something.
func (w *Walker) retries() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.workers--
			w.mu.Unlock()
			return
		}
		n := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		below := w.most
		w.work(w.ctx, n, &below, n.depth)
	}
}

// heard notes whether the source answered, for the case that it never does.
func (w *Walker) heard(err error) {
	if err == nil || errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnauthorized) || errors.Is(err, registry.ErrInvalid) {
		w.answers.Add(1)
		return
	}
	if n := w.failures.Add(1); n >= maxFailures && w.answers.Load() == 0 {
		w.stop(fmt.Errorf("%w: %w", ErrSource, err))
	}
}

// repository lists one repository and hands what it has to roots.
func (w *Walker) repository(ctx context.Context, t target, roots *errgroup.Group) {
	if t.unusable {
		w.unread(ctx, t.name, "", fmt.Errorf("%w: repository %q", registry.ErrUnusable, t.name))
		return
	}
	l := t.listing
	if l == nil {
		var err error
		l, err = w.src.Registry.List(ctx, t.name)
		w.heard(err)
		switch gone, told := registry.Gone(err); {
		case err == nil:
		case l == nil && t.found && gone: // taken away since it was listed, or a name that was left
			w.vanished.Add(1)
			w.gone(t.name, "", told)
			w.to.Listed(t.name, 0)
			return
		default:
			w.unread(ctx, t.name, "", err)
			if ctx.Err() != nil || l == nil && t.digests == nil {
				return
			}
			l = cmp.Or(l, &registry.Listing{}) // the digests are known without a list
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
	if err := l.Unusable.Err(); err != nil {
		w.unread(ctx, t.name, "", err)
	}
	if l.All {
		w.to.Listed(t.name, len(l.Manifests))
		for _, m := range l.Manifests {
			start(func() {
				w.root(ctx, &Node{Repository: t.name, Digest: m.Digest, At: arrival(m), listed: true})
			})
		}
		return
	}
	w.to.Listed(t.name, len(l.Tags))
	for _, tag := range l.Tags {
		start(func() { w.tag(ctx, t.name, tag) })
	}
}

// arrival returns when an image came into the source, as far as a listing says. Reproducible builds say 1970 or 1980,
// and a registry may say anything: an impossible time counts as none.
func arrival(m registry.Listed) time.Time {
	for _, at := range []time.Time{m.Uploaded, m.Created} {
		if at.Year() > 1990 && time.Until(at) < 24*time.Hour {
			return at
		}
	}
	return time.Time{}
}

// about are the tags of what refers to an image: the fallback tags of referrers, and cosign's.
var about = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$`)

// promoted walks the manifests that promoter manifests name, and what the tags of the repository say about these.
func (w *Walker) promoted(ctx context.Context, t target, l *registry.Listing, start func(func())) {
	w.to.Listed(t.name, len(t.digests))
	named := map[string]bool{}
	for _, d := range t.digests {
		named[registry.FallbackTag(d)] = true
		start(func() { w.root(ctx, &Node{Repository: t.name, Digest: d, ask: true}) })
	}
	for _, tag := range l.Tags {
		if about.MatchString(tag.Name) && named[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(tag.Name, ".sig"), ".att"), ".sbom")] {
			start(func() { w.tag(ctx, t.name, tag) })
		}
	}
}

// tag walks what a tag refers to. Where the list had no digest, it first resolves the tag or reads it at once:
// whichever was the better guess so far. So a pass over empty stores reads each manifest with one request.
func (w *Walker) tag(ctx context.Context, repo string, tag registry.Tag) {
	n := &Node{Repository: repo, Digest: tag.Digest, ask: true, listed: true}
	if !tag.Digest.IsZero() {
		w.root(ctx, n)
		return
	}
	if w.misses.Load() <= w.hits.Load() {
		d, err := w.src.Registry.Resolve(ctx, repo, tag.Name)
		if w.heard(err); err == nil {
			w.guessed(d.Digest)
			n.Digest, n.tag = d.Digest, tag.Name
			w.root(ctx, n)
			return
		}
		if !errors.Is(err, registry.ErrNotFound) { // which the answer to a HEAD does not explain
			w.tagUnread(ctx, repo, tag.Name, err)
			return
		}
	}
	m, err := w.src.Registry.Manifest(ctx, repo, tag.Name)
	torn, isTorn := errors.AsType[*registry.TornError](err)
	gone, told := registry.Gone(err)
	switch w.heard(err); {
	case isTorn:
		w.unread(ctx, repo, tag.Name, err)
		m = torn.Rest
		n.Fail()
	case gone:
		w.gone(repo, tag.Name, told)
		return
	case err != nil:
		w.tagUnread(ctx, repo, tag.Name, err)
		return
	}
	n.Digest = m.Digest
	w.guessed(m.Digest)
	if w.to.Known(m.Digest) {
		w.root(ctx, n)
	} else if w.enter(ctx, n) {
		below := w.most
		w.contents(ctx, n, m, &below, 0)
	}
}

// tagUnread handles a tag that cannot be read: its manifest is not known.
func (w *Walker) tagUnread(ctx context.Context, repo, tag string, err error) {
	if ctx.Err() == nil {
		w.nameless.Add(1)
	}
	w.unread(ctx, repo, tag, err)
}

// unread handles what cannot be read, completely or in part.
func (w *Walker) unread(ctx context.Context, repo, tag string, err error) {
	if ctx.Err() == nil {
		w.to.Problem(repo, tag, err)
	}
}

func (w *Walker) guessed(d oci.Digest) {
	if w.to.Known(d) || w.graph.seen(d) {
		w.hits.Add(1)
	} else {
		w.misses.Add(1)
	}
}

// root walks a manifest that the source lists, unless it is known.
func (w *Walker) root(ctx context.Context, n *Node) {
	if w.src.Denied(n.Digest) {
		w.to.Skipped(n.Repository, registry.Descriptor{Digest: n.Digest, Size: -1}, Denied)
		return
	}
	if w.to.Known(n.Digest) {
		if w.graph.note(n.Digest) && n.ask && w.to.Ripe(n.Digest) {
			below := w.most
			w.referring(ctx, n, n.Digest, &below, 1)
		}
		return
	}
	if w.enter(ctx, n) {
		below := w.most
		w.work(ctx, n, &below, 0)
	}
}

// enter begins the work on a listed manifest, unless it has begun already.
func (w *Walker) enter(ctx context.Context, n *Node) bool {
	select {
	case w.open <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if how, _ := w.graph.enter(n, waiter{}, nil); how != begun {
		<-w.open
		return false
	}
	n.root = true
	return true
}
