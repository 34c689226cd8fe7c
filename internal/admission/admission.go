package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/check"
	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
)

// Options say how to examine a store.
type Options struct {
	// Images are pulled, and their blobs asked for: NAME, NAME:TAG or NAME@DIGEST, without a host. Empty means the first
	// repositories of mirror.repositories.list.
	Images []string
	// Clients are the programs that pull, besides the built-in one; nil means all of [Programs]. Empty means none.
	Clients []string
	// Objects is how many random objects of the inventory to read.
	Objects int
	// Bytes and Within bound the run: bytes of bodies, those that clients pull included, and time.
	Bytes  int64
	Within time.Duration
	// ReadOnly leaves out the attempts to write and delete.
	ReadOnly bool
	// MinSpeed is the share of the best neighbour's throughput below which the store is far slower. MaxFirstByte is how
	// many times longer than the best neighbour's the time to the first byte may be.
	MinSpeed, MaxFirstByte float64

	Timeout   time.Duration // of one request; a body gets a second more for each 64 KiB
	UserAgent string
	Version   string // of this program, for the record
	Getenv    func(string) string
	// Progress is called when a step begins and whenever something was asked. Several goroutines call it at once. nil:
	// no calls.
	Progress func(step string, so Cost)
}

// The defaults of the command's flags.
const (
	DefaultObjects      = 8
	DefaultBytes        = 1 << 30
	DefaultWithin       = 15 * time.Minute
	DefaultMinSpeed     = 0.25
	DefaultMaxFirstByte = 4
)

func (o *Options) defaults() {
	if o.Clients == nil {
		o.Clients = Programs()
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Within <= 0 {
		o.Within = DefaultWithin
	}
	if o.MinSpeed <= 0 {
		o.MinSpeed = DefaultMinSpeed
	}
	if o.MaxFirstByte <= 0 {
		o.MaxFirstByte = DefaultMaxFirstByte
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "oci-proxyctl"
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Progress == nil {
		o.Progress = func(string, Cost) {}
	}
}

// ErrNoStore says that the config has no store of that name.
var ErrNoStore = errors.New("no such store in the config")

// run is one examination. Its steps run one after the other; some of them ask in parallel.
type run struct {
	opt   *Options
	cfg   *config.Config
	store config.Store // as it will be: active, for all clients of its rollout
	began time.Time
	meter *meter

	transport *http.Transport
	client    *http.Client // to the store, over both families; follows no redirect
	following *http.Client // to upstreams, whose redirects clients follow
	asker     *judge.Asker // of the store; gives up when it does not answer

	mu   sync.Mutex // guards the rest
	step string
	rec  *Record

	// What earlier steps found out.
	images []image
	blobs  []judge.Blob // that the store is asked for; smallest first
}

// Run examines the store of cfg that has this name. A fault of the store is a finding. The error is for problems that
// prevent a verdict: no such store ([ErrNoStore]), a malformed image, the local disk, the end of ctx.
func Run(ctx context.Context, cfg *config.Config, name string, opt Options) (*Record, error) {
	opt.defaults()
	i := slices.IndexFunc(cfg.Stores, func(s config.Store) bool { return s.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoStore, name)
	}
	plan := PlanOf(cfg, opt)
	r := &run{opt: &opt, cfg: cfg, store: cfg.Stores[i], began: time.Now(), meter: &meter{most: plan.Most}}
	r.rec = newRecord(cfg, &cfg.Stores[i], plan, opt.Version, r.began)
	r.store.State, r.store.Rollout = config.Active, 100
	r.transport = transport(opt.Timeout, judge.IPv4, judge.IPv6)
	defer r.transport.CloseIdleConnections()
	r.client = &http.Client{Transport: r.meter.wrap(r.transport), CheckRedirect: outbound.NoRedirect}
	r.following = &http.Client{Transport: r.meter.wrap(r.transport)}
	r.asker = &judge.Asker{Client: r.client, Timeout: opt.Timeout, UserAgent: opt.UserAgent}

	limited, cancel := context.WithTimeout(ctx, opt.Within)
	defer cancel()
	err := r.steps(limited)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		r.say(idBounds, "", judge.Fail("raise --within", "not everything was asked within %s: %s was not done", opt.Within, r.step))
	case err != nil:
		return nil, err
	case r.meter.spent.Load():
		r.say(idBounds, "", judge.Fail("raise --bytes", "not everything was asked: the run may take %s and %d requests",
			judge.Size(plan.Most.Bytes), plan.Most.Requests))
	default:
		r.say(idBounds, "", judge.Good("within %s, %s and %d requests", opt.Within, judge.Size(plan.Most.Bytes), plan.Most.Requests))
	}
	r.rec.finish(r.cost())
	return r.rec, nil
}

// steps asks everything. The error is for problems that prevent a verdict.
func (r *run) steps(ctx context.Context) error {
	r.enter("the checks of check --live")
	answers, err := r.live(ctx)
	if err != nil || !answers {
		return err
	}
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"the images", r.resolveImages},
		{"the inventory", r.inventory},
		{"objects of the inventory", r.objects},
		{"reads over each IP family", r.families},
		{"what strangers may do", r.closed},
		{"throughput and first byte", r.speed},
		{"the owner", r.owner},
		{"pulls", r.pulls},
	} {
		r.enter(s.name)
		if err := s.do(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// enter notes that a step begins.
func (r *run) enter(step string) {
	r.mu.Lock()
	r.step = step
	r.mu.Unlock()
	r.progress()
}

// progress tells how far the run is.
func (r *run) progress() {
	r.mu.Lock()
	step := r.step
	r.mu.Unlock()
	r.opt.Progress(step, r.cost())
}

func (r *run) cost() Cost {
	return Cost{r.meter.requests.Load(), r.meter.bytes.Load(), time.Since(r.began).Seconds()}
}

// say records the verdict of a check about object; "" when it is about the store.
func (r *run) say(id, object string, v judge.Verdict) {
	c := checkOf(id)
	if r.meter.spent.Load() && strings.Contains(v.Detail, errSpent.Error()) {
		return // the check was not made; that is a finding of its own
	}
	if v.Result == judge.Failed && c.Worst == judge.Warning {
		v.Result = judge.Warning
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Findings = append(r.rec.Findings, Finding{Check: id, Result: v.Result, Object: object, Detail: v.Detail, Hint: v.Hint, Doc: c.Doc()})
}

// live makes the checks of check --live, as if the store were active. It returns false when the store cannot be reached.
func (r *run) live(ctx context.Context) (bool, error) {
	cfg := *r.cfg
	cfg.Stores, cfg.Upstreams = []config.Store{r.store}, nil
	for _, u := range r.cfg.Upstreams {
		if u.Canonical {
			cfg.Upstreams = append(cfg.Upstreams, u)
		}
	}
	found, err := check.Live(ctx, &cfg, check.Options{
		Images: r.opt.Images, Timeout: r.opt.Timeout, UserAgent: r.opt.UserAgent,
		MaxBlob: min(8<<20, r.opt.Bytes/32), Wrap: r.meter.wrap,
	})
	if err != nil {
		return false, err
	}
	for _, name := range found.Images {
		ref, err := judge.ParseRef(name)
		if err != nil {
			return false, err
		}
		r.images = append(r.images, image{ref: ref})
	}
	answers := true
	for _, f := range found.Findings {
		if f.Target != r.store.Name {
			continue
		}
		answers = answers && !(f.Check == "connect" && f.Result == judge.Failed)
		r.say(live+"."+f.Check, "", judge.Verdict{Result: f.Result, Detail: f.Detail, Hint: f.Hint})
	}
	if f, bad := found.Failure(cfg.Upstreams[0].Name); bad {
		r.say(live+".canonical", "", judge.Warn(f.Hint, "the canonical upstream %s: %s: %s", f.Target, f.Check, f.Detail))
	}
	if len(found.Inventories) > 0 {
		r.believed(&found.Inventories[0])
	}
	return answers, nil
}

// believed judges what servers make of the inventory.
func (r *run) believed(inv *check.Inventory) {
	r.rec.Figures.Inventory = inv
	v := judge.Good("%d records in %d segments, written %s ago", inv.Records, inv.Segments, time.Duration(inv.AgeSeconds)*time.Second)
	if !inv.Believed {
		v = judge.Fail("let the mirror finish a pass; then look at the finding live.inventory",
			"servers do not believe it: it is %s", inv.State)
	}
	r.say(idBelieved, "", v)
}

// at returns the URL of a blob, as clients get it.
func (r *run) at(b judge.Blob) string { return r.name(b.Digest.String()) }

// name returns the URL of whatever name stands in place of a digest.
func (r *run) name(name string) string { return strings.ReplaceAll(r.store.URL, "{digest}", name) }
