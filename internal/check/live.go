package check

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
)

// Options are the options of Live. The command uses the zero value.
type Options struct {
	// Images are requested from upstreams, and their blobs from stores: NAME, NAME:TAG or NAME@DIGEST, as clients write
	// them, without a host. Empty means the first repositories of mirror.repositories.list.
	Images      []string
	Timeout     time.Duration // of one request, with its body; default 10 s
	Concurrency int           // targets asked at once; default 8
	MaxBlob     int64         // blobs up to this many bytes are read completely and hashed; default 8 MiB
	UserAgent   string
	// Lookup resolves hosts; the default is the system's resolver. TLS is for servers with private certificates; the
	// default is the system's roots.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	TLS    *tls.Config
	// Wrap, when given, wraps each transport: its caller counts and bounds the requests.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Progress is called each time a target is done, one call at a time. nil means no calls.
	Progress func(done, total int, name string)
}

// mirrorImages is how many repositories of mirror.repositories.list are tried when --image is not given.
const mirrorImages = 3

func (o *Options) defaults() {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.MaxBlob <= 0 {
		o.MaxBlob = 8 << 20
	}
	if o.UserAgent == "" {
		o.UserAgent = "oci-proxy-check"
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupNetIP
	}
}

// Live asks every store and upstream of cfg, from this machine, for what the proxy and its clients will ask of them. It
// makes only anonymous GET and HEAD requests. A fault of a target is a finding. The error is for problems that prevent
// the complete run: a malformed image, or the end of ctx.
func Live(ctx context.Context, cfg *config.Config, opts Options) (*Report, error) {
	opts.defaults()
	refs, err := wanted(cfg, opts.Images)
	if err != nil {
		return nil, err
	}
	r := &Report{Images: []string{}}
	total := len(cfg.Upstreams) + len(cfg.Stores)
	progress := counter(opts.Progress, total)

	// The canonical upstream comes first: it says which blobs the others should hold.
	upstreams := make([][]Finding, len(cfg.Upstreams))
	var samples []sample
	for i, u := range cfg.Upstreams {
		if !u.Canonical {
			continue
		}
		p := newUpstreamProbe(u, &opts)
		samples = p.canonical(ctx, refs)
		p.close()
		upstreams[i] = p.findings
		progress(u.Name)
	}
	for _, s := range samples {
		r.Images = append(r.Images, s.ref.String())
	}

	stores := make([][]Finding, len(cfg.Stores))
	inventories := make([]*Inventory, len(cfg.Stores))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(opts.Concurrency)
	for i, u := range cfg.Upstreams {
		if u.Canonical {
			continue
		}
		g.Go(func() error {
			p := newUpstreamProbe(u, &opts)
			defer p.close()
			p.replica(gctx, samples)
			upstreams[i] = p.findings
			progress(u.Name)
			return gctx.Err()
		})
	}
	for i, s := range cfg.Stores {
		g.Go(func() error {
			p := newStoreProbe(s, &opts)
			defer p.close()
			if p.store(gctx, samples) && s.Inventory.Enabled() {
				inventories[i] = p.inventory(gctx, s, cfg.Limits.StoreRecords)
			}
			stores[i] = p.findings
			progress(s.Name)
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, fs := range append(upstreams, stores...) {
		r.add(fs...)
	}
	for _, inv := range inventories {
		if inv != nil {
			r.Inventories = append(r.Inventories, *inv)
		}
	}
	if len(samples) == 0 {
		r.Notes = append(r.Notes, noSamples(refs))
	}
	return r, nil
}

func noSamples(refs []judge.Ref) string {
	if len(refs) == 0 {
		return "the read checks were not made: name an image with --image NAME[:TAG], or fill mirror.repositories.list"
	}
	return "the read checks were not made: the canonical upstream gave no image with blobs to ask for"
}

// wanted returns the images to ask for: the named ones, otherwise the first ones of the mirror's list.
func wanted(cfg *config.Config, images []string) ([]judge.Ref, error) {
	named := len(images) > 0
	if !named {
		images = cfg.Mirror.Repositories.List
	}
	var refs []judge.Ref
	for _, s := range images {
		if !named && (len(refs) == mirrorImages || strings.Contains(s, "*")) {
			continue
		}
		r, err := judge.ParseRef(s)
		if err != nil {
			return nil, err
		}
		refs = append(refs, r)
	}
	return refs, nil
}

// ValidImage returns what is wrong with an element of Options.Images.
func ValidImage(s string) error {
	_, err := judge.ParseRef(s)
	return err
}

func counter(f func(done, total int, name string), total int) func(name string) {
	var mu sync.Mutex
	done := 0
	return func(name string) {
		mu.Lock()
		defer mu.Unlock()
		done++
		if f != nil {
			f(done, total, name)
		}
	}
}

// families translates the words of the config. A config that was built by hand without families means both.
func families(f config.Families) []judge.Family {
	var out []judge.Family
	if f.IPv4 || !f.IPv6 {
		out = append(out, judge.IPv4)
	}
	if f.IPv6 || !f.IPv4 {
		out = append(out, judge.IPv6)
	}
	return out
}

// stateNote explains what the state of a candidate means for the run.
func stateNote(s config.State) judge.Verdict {
	return judge.Note("state is %s: not asked", s)
}
