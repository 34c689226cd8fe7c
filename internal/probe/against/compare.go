package against

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
	"ociproxy/internal/probe"
)

// Options say what to compare.
type Options struct {
	Here, There string // host or host:port
	// Repositories as clients name them. None: those that the registries list (_catalog).
	Repositories []string
	// SampleTags is how many tags of each repository are followed; 0: all. Lists of tags are compared completely.
	SampleTags int

	Limits      probe.Limits
	Timeout     time.Duration // of one request; default 10 s
	Concurrency int           // repositories compared at once; default 4
	UserAgent   string
	PlainHTTP   []string // hosts to reach over plain HTTP, as loopback always is

	// Lookup resolves hosts; the default is the system's resolver. TLS is for private certificates.
	Lookup judge.Resolver
	TLS    *tls.Config
	// Progress is called for each repository when it begins, from several goroutines. nil: no calls.
	Progress func(repository string)
}

// comparison is one run.
type comparison struct {
	opt    *Options
	bases  [2]*url.URL
	via    http.RoundTripper
	budget *probe.Budget
	tally
}

// Run compares two names. The error is for what prevents a comparison: a name that is none, or the end of ctx.
func Run(ctx context.Context, opt Options) (*Report, error) {
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = 4
	}
	if opt.Lookup == nil {
		opt.Lookup = net.DefaultResolver.LookupNetIP
	}
	c := &comparison{opt: &opt, budget: probe.NewBudget(opt.Limits)}
	for i, name := range []string{opt.Here, opt.There} {
		base, err := probe.Base(name, opt.PlainHTTP)
		if err != nil {
			return nil, err
		}
		c.bases[i] = base
	}
	tr := judge.Transport(opt.Lookup, opt.TLS, opt.Timeout, judge.IPv4, judge.IPv6)
	defer tr.CloseIdleConnections()
	tr.MaxIdleConnsPerHost = opt.Concurrency
	c.via = c.budget.Over(tr)
	limits := c.budget.Limits()
	c.r = Report{Here: c.bases[0].Host, There: c.bases[1].Host, Counts: map[Kind]int64{}, Differences: []Difference{}, Failures: []Failure{}, Limits: limits}
	within, cancel := context.WithTimeout(ctx, time.Duration(limits.Seconds*float64(time.Second)))
	defer cancel()
	c.run(within)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := c.finish()
	r.Cost = c.budget.Cost()
	return r, nil
}

// pair returns both sides, for one goroutine.
func (c *comparison) pair() *pair {
	p := &pair{comparison: c, seen: map[string]bool{}}
	for i := range p.sides {
		p.sides[i] = &side{c.bases[i], &judge.Asker{
			Client: &http.Client{Transport: c.via, CheckRedirect: outbound.NoRedirect}, Timeout: c.opt.Timeout, UserAgent: c.opt.UserAgent,
		}}
	}
	return p
}

// pair compares one repository. One goroutine may use it.
type pair struct {
	*comparison
	sides [2]*side
	name  string          // of the repository
	seen  map[string]bool // digests that were compared
}

// maxSeen is how many digests of a repository are remembered. Beyond, some are compared more than once.
const maxSeen = 200_000

// first reports whether a digest was not compared yet, and remembers it.
func (p *pair) first(digest string) bool {
	if p.seen[digest] {
		return false
	}
	if len(p.seen) < maxSeen {
		p.seen[digest] = true
	}
	return true
}

func (c *comparison) run(ctx context.Context) {
	repositories := c.opt.Repositories
	if len(repositories) == 0 {
		var ok bool
		if repositories, ok = c.catalog(ctx); !ok {
			return
		}
	}
	var g errgroup.Group
	g.SetLimit(c.opt.Concurrency)
	for i, name := range repositories {
		g.Go(func() error {
			if c.opt.Progress != nil {
				c.opt.Progress(name)
			}
			p := c.pair()
			p.name = name
			if i == 0 {
				p.unknown(ctx)
			}
			p.repository(ctx)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
}

// catalog returns the repositories that both names list, and reports those of one only.
func (c *comparison) catalog(ctx context.Context) (common []string, ok bool) {
	p := c.pair()
	err := p.merge(ctx, "/v2/_catalog", "repositories", func(name string, at where) error {
		switch at {
		case here:
			c.differ(Difference{Kind: RepositoryHere, Repository: name})
		case there:
			c.differ(Difference{Kind: RepositoryThere, Repository: name})
		default:
			if len(common) == maxUnsorted {
				return fmt.Errorf("more than %d repositories: name those to compare", maxUnsorted)
			}
			common = append(common, name)
		}
		return nil
	})
	if err != nil {
		p.failed(ctx, "_catalog", err)
		return nil, false
	}
	return common, true
}

// merge reads a list of both names.
func (p *pair) merge(ctx context.Context, path, field string, each func(string, where) error) error {
	one, err := p.sides[0].sorted(ctx, path, field)
	if err != nil {
		return fmt.Errorf("%s: %w", p.sides[0].base.Host, err)
	}
	two, err := p.sides[1].sorted(ctx, path, field)
	if err != nil {
		return fmt.Errorf("%s: %w", p.sides[1].base.Host, err)
	}
	return merge(one, two, each)
}

// failed records what could not be compared. The end of the run is no fault of a registry.
func (p *pair) failed(ctx context.Context, reference string, err error) {
	if probe.Spent(err) || ctx.Err() != nil {
		p.cut()
		return
	}
	p.fail(Failure{p.name, reference, err.Error()})
}

// repository compares the tags of a repository, and what they lead to.
func (p *pair) repository(ctx context.Context) {
	path := "/v2/" + p.name + "/tags/list"
	chosen := sample{n: p.opt.SampleTags}
	err := p.merge(ctx, path, "tags", func(tag string, at where) error {
		p.count(&p.r.Tags)
		switch {
		case at == here:
			p.differ(Difference{Kind: TagHere, Repository: p.name, Reference: tag})
		case at == there:
			p.differ(Difference{Kind: TagThere, Repository: p.name, Reference: tag})
		case p.opt.SampleTags > 0:
			chosen.offer(tag)
		default:
			return p.tag(ctx, tag)
		}
		return nil
	})
	for _, one := range chosen.kept {
		if err == nil {
			err = p.tag(ctx, one.name)
		}
	}
	switch {
	case errors.Is(err, errMissing):
		p.missing(ctx)
	case err != nil:
		p.failed(ctx, "tags", err)
	default:
		p.count(&p.r.Repositories)
	}
}

// missing finds out who does not have the repository.
func (p *pair) missing(ctx context.Context) {
	var got [2]bool
	for i, s := range p.sides {
		_, _, err := s.page(ctx, "/v2/"+p.name+"/tags/list", "tags")
		if got[i] = err == nil; err != nil && !errors.Is(err, errMissing) {
			p.failed(ctx, "tags", err)
			return
		}
	}
	switch got {
	case [2]bool{true, false}:
		p.differ(Difference{Kind: RepositoryHere, Repository: p.name})
	case [2]bool{false, true}:
		p.differ(Difference{Kind: RepositoryThere, Repository: p.name})
	default:
		p.fail(Failure{p.name, "", "neither name has the repository"})
	}
}

// stop reports whether err means that nothing more can be compared.
func stop(ctx context.Context, err error) bool { return probe.Spent(err) || ctx.Err() != nil }
