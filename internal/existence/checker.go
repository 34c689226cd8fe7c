package existence

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// Key names one thing at one origin.
type Key struct {
	// Origin is the URL template asked, not the candidate's name: when a reload gives a name another URL, the
	// old answers no longer count.
	Origin string
	Kind   oci.Kind
	Name   string // repository; empty for stores, which hold blobs by digest alone
	Ref    string // digest or tag
}

// Answer is what is known about a key.
type Answer struct {
	// Held: the candidate has it.
	Held bool
	// Failed: the candidate gave no usable answer; Held is false. Remembered briefly, so that a silent
	// candidate does not cost every request the whole budget.
	Failed bool
	// Size in bytes, -1 when the candidate did not say.
	Size int64
}

// Target is a key, the URL that answers for it, and the candidate's name for metrics.
type Target struct {
	Key       Key
	URL       string
	Candidate string
	// RedirectIsHeld: a redirect says that it is there (a registry that keeps its blobs in object storage). It
	// is not followed.
	RedirectIsHeld bool
}

// Options bound a [Checker]. Zero fields take the documented defaults.
type Options struct {
	// Client makes the requests; its redirect policy and time-out are replaced.
	Client *http.Client
	// Budget is how long one request waits for all its checks: 300 ms.
	Budget time.Duration
	// Timeout ends a check that no request waits for any more: 5 s.
	Timeout time.Duration
	// Positive, Negative and Failure are how long answers stay true: 24 h, 30 s, 5 s. Tag is Positive for tags,
	// which unlike digests can be taken away: 1 min.
	Positive, Tag, Negative, Failure time.Duration
	// Entries bounds the answers remembered: 100 000, about 40 MiB.
	Entries int
	// InFlight bounds the checks under way: 128. PerClient bounds those that one client network causes: 16, and
	// PerOrigin those that one origin has to answer: 32, so that one that hangs does not stop the others.
	InFlight, PerClient, PerOrigin int
	// PerSecond bounds the checks that one client network causes in a second, with a burst of four seconds: 50.
	// OriginPerSecond bounds those that one origin gets, with a burst of two seconds: 500.
	PerSecond, OriginPerSecond int
	// Observe is called after each check with its target, one of [Results], the answer, and how long it took. Nil: not called.
	Observe func(t Target, result string, a Answer, took time.Duration)
}

// Results of a check, for metrics.
const (
	ResultHeld   = "held"
	ResultAbsent = "absent"
	ResultFailed = "failed"
	ResultShed   = "shed" // not made: a bound was reached
)

// Results lists the closed set of results.
func Results() []string { return []string{ResultHeld, ResultAbsent, ResultFailed, ResultShed} }

// Checker asks and remembers. Safe for concurrent use.
type Checker struct {
	opt    Options
	client *http.Client
	cache  *otter.Cache[Key, Answer]
	flight singleflight.Group
	slots  chan struct{}

	waiting chan struct{} // rechecks under way: several may wait for one check

	rates [rateBuckets]*rate.Limiter // by hash of the client network; strangers may share one

	mu      sync.Mutex
	shares  map[netip.Prefix]int // checks under way by client network; at most InFlight entries
	origins map[string]*origin   // every one that was ever asked: as many as the configurations had
}

// origin is what one origin has to bear.
type origin struct {
	underWay int
	rate     *rate.Limiter
}

const rateBuckets = 1024

// New returns a checker with the given bounds.
func New(opt Options) (*Checker, error) {
	setDefault(&opt.Budget, 300*time.Millisecond)
	setDefault(&opt.Timeout, 5*time.Second)
	setDefault(&opt.Positive, 24*time.Hour)
	setDefault(&opt.Tag, time.Minute)
	setDefault(&opt.Negative, 30*time.Second)
	setDefault(&opt.Failure, 5*time.Second)
	setDefault(&opt.Entries, 100_000)
	setDefault(&opt.InFlight, 128)
	setDefault(&opt.PerClient, 16)
	setDefault(&opt.PerOrigin, 32)
	setDefault(&opt.PerSecond, 50)
	setDefault(&opt.OriginPerSecond, 500)
	if opt.Observe == nil {
		opt.Observe = func(Target, string, Answer, time.Duration) {}
	}
	client := http.Client{}
	if opt.Client != nil {
		client = *opt.Client
	}
	client.Timeout = 0 // the context bounds it
	client.CheckRedirect = outbound.NoRedirect
	cache, err := otter.New(&otter.Options[Key, Answer]{
		MaximumSize: opt.Entries,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, Answer]) time.Duration {
			switch {
			case e.Value.Held && e.Key.Kind == oci.KindTag:
				return opt.Tag
			case e.Value.Held:
				return opt.Positive
			case e.Value.Failed:
				return opt.Failure
			default:
				return opt.Negative
			}
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("existence: cache: %w", err)
	}
	c := &Checker{
		opt: opt, client: &client, cache: cache,
		slots:   make(chan struct{}, opt.InFlight),
		waiting: make(chan struct{}, opt.InFlight),
		shares:  map[netip.Prefix]int{},
		origins: map[string]*origin{},
	}
	for i := range c.rates {
		c.rates[i] = rate.NewLimiter(rate.Limit(opt.PerSecond), 4*opt.PerSecond)
	}
	return c, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Close stops the cache's own upkeep. Checks under way end by their time-out.
func (c *Checker) Close() {
	c.cache.InvalidateAll()
	c.cache.StopAllGoroutines()
	c.client.CloseIdleConnections()
}

// Len is about how many answers are remembered.
func (c *Checker) Len() int { return c.cache.EstimatedSize() }

// Lookup returns what is remembered about k, without waiting.
func (c *Checker) Lookup(k Key) (Answer, bool) { return c.cache.GetIfPresent(k) }

// Check asks about targets at once, best first, and waits until the first of them is known to hold, all have
// answered, or the budget is over. Answers land in the cache, also those that come later. client is charged
// for the checks.
func (c *Checker) Check(ctx context.Context, client netip.Prefix, targets []Target) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Budget)
	defer cancel()
	answers := make([]<-chan singleflight.Result, len(targets))
	for i, t := range targets {
		if _, known := c.Lookup(t.Key); !known {
			answers[i] = c.start(client, t)
		}
	}
	for i, ch := range answers {
		if ch != nil {
			select {
			case <-ch:
			case <-ctx.Done():
				return
			}
		}
		if a, ok := c.Lookup(targets[i].Key); ok && a.Held {
			return
		}
	}
}

// start begins a check, or joins the one under way for the same URL.
func (c *Checker) start(client netip.Prefix, t Target) <-chan singleflight.Result {
	return c.flight.DoChan(t.URL, func() (any, error) {
		if !c.acquire(client, t.Key.Origin) {
			c.opt.Observe(t, ResultShed, Answer{Size: -1}, 0)
			return nil, nil // stays unknown
		}
		defer c.release(client, t.Key.Origin)
		begin := time.Now()
		a, result := c.ask(&t)
		took := time.Since(begin)
		// The request's strings are parts of a larger buffer: keep copies.
		t.Key.Name, t.Key.Ref = strings.Clone(t.Key.Name), strings.Clone(t.Key.Ref)
		c.cache.Set(t.Key, a)
		c.opt.Observe(t, result, a, took)
		return a, nil
	})
}

// Recheck asks about t whatever is remembered, in the background and within the same bounds, and hands the
// answer to then. When a bound is reached, nothing happens.
func (c *Checker) Recheck(client netip.Prefix, t Target, then func(Answer)) {
	select {
	case c.waiting <- struct{}{}:
	default:
		return // so many are under way that this one will not be missed
	}
	done := c.start(client, t)
	go func() {
		defer func() { <-c.waiting }()
		if r := <-done; r.Val != nil {
			then(r.Val.(Answer)) //nolint:forcetypeassert // start's own value
		}
	}()
}

var errNoAnswer = errors.New("no usable answer")

// ask makes the HEAD request. 404 and 403 mean absent: S3 says 403 when the caller may not list.
func (c *Checker) ask(t *Target) (Answer, string) {
	size, err := c.head(t)
	switch {
	case err == nil:
		return Answer{Held: true, Size: size}, ResultHeld
	case errors.Is(err, errAbsent):
		return Answer{Size: -1}, ResultAbsent
	default:
		return Answer{Failed: true, Size: -1}, ResultFailed
	}
}

var errAbsent = errors.New("absent")

// Accept names every manifest type, so that a registry answers for what clients will ask for.
const Accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, " +
	"application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.oci.artifact.manifest.v1+json, */*"

func (c *Checker) head(t *Target) (size int64, err error) {
	// Detached from the request on purpose: the answer is worth having after its client gave up.
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, t.URL, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", Accept)
	req.Header.Set("User-Agent", "oci-proxy")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if t.RedirectIsHeld {
			return -1, nil
		}
		return 0, fmt.Errorf("%w: redirects", errNoAnswer)
	case http.StatusOK:
		if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "text/html" {
			return 0, fmt.Errorf("%w: an HTML page", errNoAnswer) // a login or maintenance page
		}
		return resp.ContentLength, nil
	case http.StatusNotFound, http.StatusForbidden:
		return 0, errAbsent
	default:
		return 0, fmt.Errorf("%w: status %d", errNoAnswer, resp.StatusCode)
	}
}

// acquire takes a slot, unless the client network or the origin has its share or is asked too fast.
func (c *Checker) acquire(client netip.Prefix, name string) bool {
	select {
	case c.slots <- struct{}{}:
	default:
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.origin(name)
	if c.shares[client] >= c.opt.PerClient || o.underWay >= c.opt.PerOrigin || !c.rate(client).Allow() || !o.rate.Allow() {
		<-c.slots
		return false
	}
	c.shares[client]++
	o.underWay++
	return true
}

// origin returns the one of that name; c.mu is held.
func (c *Checker) origin(name string) *origin {
	o := c.origins[name]
	if o == nil {
		o = &origin{rate: rate.NewLimiter(rate.Limit(c.opt.OriginPerSecond), 2*c.opt.OriginPerSecond)}
		c.origins[name] = o
	}
	return o
}

func (c *Checker) rate(client netip.Prefix) *rate.Limiter {
	b := client.Addr().As16()
	return c.rates[maphash.Bytes(rateSeed, b[:])%rateBuckets]
}

var rateSeed = maphash.MakeSeed()

func (c *Checker) release(client netip.Prefix, name string) {
	c.mu.Lock()
	if c.shares[client]--; c.shares[client] <= 0 {
		delete(c.shares, client) // the map is as small as what is under way
	}
	c.origin(name).underWay--
	c.mu.Unlock()
	<-c.slots
}
