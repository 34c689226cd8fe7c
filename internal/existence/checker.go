package existence

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// Key names one thing at one origin.
type Key struct {
	// Origin is the URL template that is asked, not the candidate's name: when a reload gives a name another URL, the
	// old answers no longer count.
	Origin string
	Kind   oci.Kind
	Name   string // repository; empty for stores, which hold blobs by digest alone
	Ref    string // digest or tag
}

// Answer is what is known about a key.
type Answer struct {
	// Held says that the candidate has it.
	Held bool
	// Failed says that the candidate gave no usable answer; Held is false. The checker remembers this briefly, so that
	// a silent candidate does not cost every request the complete budget.
	Failed bool
	// Size is in bytes, at most [oci.MaxBlob]; -1 when the candidate did not report one, or reported more. Only this
	// candidate said it, so it counts for no other.
	Size int64
	// Content is a number for what a tag points to, the same at all origins; 0 when the candidate did not report it.
	Content uint64
}

// Target is a key, the URL that answers for it, and the candidate's name for metrics.
type Target struct {
	Key       Key
	URL       string
	Candidate string
	// RedirectIsHeld says that a redirect means that the thing is there (a registry that keeps its blobs in object
	// storage). The checker does not follow the redirect; proof.go says when the checker believes it.
	RedirectIsHeld bool
	// Size is the thing's known size in bytes; 0: not known. A candidate that reports another size holds another
	// thing.
	Size int64
	// Trusted answers are believed without proof: the candidate has everything by definition.
	Trusted bool
	// Unobserved says that Observe must not hear of this check: it was not made for a client.
	Unobserved bool
}

// Options bound a [Checker]. Zero fields take the documented defaults.
type Options struct {
	// Client makes the requests; the checker replaces its redirect policy and time-out.
	Client *http.Client
	// Budget is the longest that one request waits for its checks: 1 s. The actual wait depends on the origin: see
	// pace.go.
	Budget time.Duration
	// Timeout ends a check that no request waits for any more: 5 s.
	Timeout time.Duration
	// Positive, Negative and Failure are how long answers stay valid: 24 h, 30 s, 5 s. Tag is Positive for tags,
	// which unlike digests can be removed: 1 min.
	Positive, Tag, Negative, Failure time.Duration
	// Entries bounds the answers remembered: 100 000, about 40 MiB.
	Entries int
	// InFlight bounds the checks under way: 128. PerClient bounds the checks that one client network causes: 32.
	// PerOrigin bounds the checks that one origin has to answer: 32, so that an origin that hangs does not block the
	// others.
	InFlight, PerClient, PerOrigin int
	// PerSecond bounds the checks that one client network causes in a second, with a burst of four seconds: 50.
	// OriginPerSecond bounds the checks that one origin gets, with a burst of two seconds: 500.
	PerSecond, OriginPerSecond int
	// Observe is called after each check with its target, one of [Results], the answer, and how long it took. Nil:
	// not called.
	Observe func(t Target, result string, a Answer, took time.Duration)
	// Turned is called when an origin turns out to say yes to what cannot exist, and when it stops doing so. Nil: not
	// called.
	Turned func(t Target, believed bool)
}

// Results of a check, for metrics.
const (
	ResultHeld   = "held"
	ResultAbsent = "absent"
	ResultFailed = "failed"
	ResultShed   = "shed" // not made: a limit was reached
	// ResultDisbelieved: it said yes, and its yes proves nothing.
	ResultDisbelieved = "disbelieved"
)

// Results lists the closed set of results.
func Results() []string {
	return []string{ResultHeld, ResultAbsent, ResultFailed, ResultShed, ResultDisbelieved}
}

// Checker asks origins and remembers the answers. Safe for concurrent use.
type Checker struct {
	opt    Options
	client *http.Client
	cache  *otter.Cache[Key, Answer]
	slots  chan struct{}

	forgets *rate.Limiter
	waiting chan struct{} // running rechecks: several may wait for one check

	rates [rateBuckets]*rate.Limiter // by hash of the client network; unrelated networks may share one

	mu      sync.Mutex
	flights map[string]*flight   // running checks by URL; at most InFlight entries
	shares  map[netip.Prefix]int // running checks by client network; at most InFlight entries
	origins map[string]*origin   // every origin that was ever asked: as many as the configs had
}

// origin is the load on one origin, and what is known about it. The checker's lock guards it.
type origin struct {
	underWay int
	rate     *rate.Limiter
	used     time.Time // when the last request was sent to it
	pace     pace
	proofs   [numSubjects]proof
}

const rateBuckets = 1024

// New returns a checker with the given bounds.
func New(opt Options) (*Checker, error) {
	setDefault(&opt.Budget, time.Second)
	setDefault(&opt.Timeout, 5*time.Second)
	setDefault(&opt.Positive, 24*time.Hour)
	setDefault(&opt.Tag, time.Minute)
	setDefault(&opt.Negative, 30*time.Second)
	setDefault(&opt.Failure, 5*time.Second)
	setDefault(&opt.Entries, 100_000)
	setDefault(&opt.InFlight, 128)
	setDefault(&opt.PerClient, 32)
	setDefault(&opt.PerOrigin, 32)
	setDefault(&opt.PerSecond, 50)
	setDefault(&opt.OriginPerSecond, 500)
	if opt.Observe == nil {
		opt.Observe = func(Target, string, Answer, time.Duration) {}
	}
	if opt.Turned == nil {
		opt.Turned = func(Target, bool) {}
	}
	client := http.Client{}
	if opt.Client != nil {
		client = *opt.Client
	}
	client.Timeout = 0 // the context limits the time
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
		forgets: rate.NewLimiter(5, 5),
		flights: map[string]*flight{},
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

// Close stops the cache's background work. Checks under way end by their time-out.
func (c *Checker) Close() {
	c.cache.InvalidateAll()
	c.cache.StopAllGoroutines()
	c.client.CloseIdleConnections()
}

// Len returns about how many answers are remembered.
func (c *Checker) Len() int { return c.cache.EstimatedSize() }

// Lookup returns what is remembered about k, without waiting.
func (c *Checker) Lookup(k Key) (Answer, bool) { return c.cache.GetIfPresent(k) }

// Check asks about all targets at once; they are ordered best first. It waits until the first of them is known to
// hold, all have answered, or the time for each is over; never longer than the budget. All answers go to the cache,
// also late ones. The checks count against client's limits.
func (c *Checker) Check(ctx context.Context, client netip.Prefix, targets []Target) {
	flights := make([]*flight, len(targets))
	for i := range targets {
		if _, known := c.Lookup(targets[i].Key); !known {
			flights[i] = c.start(client, targets[i], toKnow)
		}
	}
	for i, f := range flights {
		if f != nil && !c.wait(ctx, f) && ctx.Err() != nil {
			return
		}
		if a, ok := c.Lookup(targets[i].Key); ok && a.Held {
			return
		}
	}
}

// CheckAgain asks about t even if an answer is remembered, and waits as [Checker.Check] does. The check counts against
// client's limits. ok is false when the answer did not come in time, or a bound was reached.
func (c *Checker) CheckAgain(ctx context.Context, client netip.Prefix, t Target) (a Answer, ok bool) {
	f := c.start(client, t, toKnowAgain)
	if f == nil || !c.wait(ctx, f) {
		return Answer{}, false
	}
	return f.answer, true
}

// Recheck asks about t even if an answer is remembered, in the background and within the same bounds, and passes the
// answer to then. When a bound is reached, nothing happens.
func (c *Checker) Recheck(client netip.Prefix, t Target, then func(Answer)) {
	select {
	case c.waiting <- struct{}{}:
	default:
		return // so many run already that this one does not matter
	}
	f := c.start(client, t, toKnowAgain)
	if f == nil {
		<-c.waiting
		return
	}
	go func() {
		defer func() { <-c.waiting }()
		<-f.done
		then(f.answer)
	}()
}

// acquire takes a slot, unless the client network or the origin has its share or asks too fast. c.mu is held.
func (c *Checker) acquire(client netip.Prefix, o *origin) bool {
	if c.shares[client] >= c.opt.PerClient || !c.room(o) {
		return false
	}
	if !c.rate(client).Allow() || !o.rate.Allow() {
		<-c.slots
		o.underWay--
		return false
	}
	c.shares[client]++
	return true
}

// room takes a slot of o alone. c.mu is held.
func (c *Checker) room(o *origin) bool {
	if o.underWay >= c.opt.PerOrigin {
		return false
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return false
	}
	o.underWay++
	o.used = time.Now()
	return true
}

// origin returns the origin of that name; c.mu is held.
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

// release gives back what acquire took; c.mu is held.
func (c *Checker) release(client netip.Prefix, o *origin) {
	if c.shares[client]--; c.shares[client] <= 0 {
		delete(c.shares, client) // the map is as small as the number of running checks
	}
	c.leave(o)
}

// leave gives back what room took; c.mu is held.
func (c *Checker) leave(o *origin) {
	o.underWay--
	<-c.slots
}
