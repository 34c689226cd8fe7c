package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ociproxy/internal/admission"
	"ociproxy/internal/check"
	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
	"ociproxy/internal/infra"
	"ociproxy/internal/outbound"
	"ociproxy/internal/provision"
	"ociproxy/internal/store"
	"ociproxy/internal/targets"
)

const (
	// lookParallel is how many stores are looked at at once.
	lookParallel = 8
	// lookTimeout bounds the look at one store. A settings request takes some 100 ms, and there are some 20.
	lookTimeout = 2 * time.Minute
)

// lookAround asks the stores and the fronts, several at a time. When ctx ends it returns what is known, and says of the
// rest that it is unknown. The order is that of the config.
func (a *app) lookAround(ctx context.Context, cfg *config.Config, how comparing) []infra.Finding {
	fronts := make([][]infra.Finding, len(how.fronts))
	stores := make([][]infra.Finding, len(cfg.Stores))
	var clients map[string][]infra.Finding
	p := a.progress()
	defer p.clear()
	ask := judge.Asker{
		Client:  &http.Client{Transport: outbound.New(outbound.Options{}), CheckRedirect: outbound.NoRedirect},
		Timeout: strangerTimeout, UserAgent: agent(),
	}
	var g errgroup.Group
	g.SetLimit(lookParallel)
	g.Go(func() error {
		clients = a.lookAsClients(ctx, cfg, how.image)
		return nil
	})
	for i, front := range how.fronts {
		g.Go(func() error {
			asker := ask // which is not for several goroutines
			fronts[i] = []infra.Finding{lookAtFront(ctx, &asker, front)}
			return nil
		})
	}
	for i := range cfg.Stores {
		g.Go(func() error {
			s, asker := &cfg.Stores[i], ask
			p.line("look at " + s.Name)
			stores[i] = a.lookAtStore(ctx, cfg, s, &asker, how.write)
			return nil
		})
	}
	_ = g.Wait() // the functions return none
	out := slices.Concat(fronts...)
	for i := range cfg.Stores {
		out = append(append(out, stores[i]...), clients[cfg.Stores[i].Name]...)
	}
	return out
}

// frontPath is what a front is asked for: what each client asks first. The rules for the edge refuse /-/ready.
const frontPath = "/v2/"

// lookAtFront asks a front as a client does.
func lookAtFront(ctx context.Context, ask *judge.Asker, front string) infra.Finding {
	f := infra.Finding{Target: front, Source: infra.OfFront, What: "registry", Result: infra.OK}
	got := ask.Ask(ctx, judge.Query{Method: http.MethodGet, URL: strings.TrimSuffix(front, "/") + frontPath, Max: 512})
	switch {
	case got.Err != nil:
		f.Result, f.Detail = infra.Unknown, "no answer: "+got.Err.Error()
		f.Remedy = "check the name and that this machine may reach it; look at the load balancer's own state"
	case got.Status != http.StatusOK:
		f.Result, f.Detail = infra.Drift, fmt.Sprintf("status %d for %s", got.Status, frontPath)
		f.Remedy = "the front must pass " + frontPath + " to the servers, and one of them must be ready: look at the load balancer's own state, and docs/edge-rules.md"
	default:
		f.Detail = "status 200 for " + frontPath
	}
	return f
}

// lookAtStore looks at the bucket of a store, and asks for a list of it as a stranger.
func (a *app) lookAtStore(ctx context.Context, cfg *config.Config, s *config.Store, ask *judge.Asker, write bool) []infra.Finding {
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	out := a.lookAtBucket(ctx, s)
	if s.State == config.Off {
		return out
	}
	out = append(out, lookForList(ctx, s, ask))
	if write && targets.Written(s) {
		out = append(out, a.lookAsWriter(ctx, cfg, s))
	}
	return out
}

// lookAtBucket compares the settings of a bucket with those that a store needs.
func (a *app) lookAtBucket(ctx context.Context, s *config.Store) []infra.Finding {
	say := func(r infra.Result, detail, remedy string) []infra.Finding {
		return []infra.Finding{{Target: s.Name, Source: infra.OfBucket, What: "bucket", Result: r, Detail: detail, Remedy: remedy}}
	}
	b, err := provision.Open(ctx, s, provision.Options{Getenv: a.env, Logger: a.mirrorLog()})
	if errors.Is(err, provision.ErrNoBucket) {
		return say(infra.Unsupported, err.Error(), "")
	}
	var report *provision.Report
	if err == nil {
		report, err = b.Look(ctx)
	}
	if err != nil {
		r, detail := infra.Unknown, err.Error()
		remedy := "give this machine credentials that may read the settings of the bucket, and run the command again"
		switch {
		case ctx.Err() != nil:
			detail, remedy = "interrupted, or no answer in "+lookTimeout.String(), "run the command again"
		case errors.Is(err, store.ErrDenied): // perhaps the bucket of another account, perhaps only a right that is missing
		case errors.Is(err, provision.ErrForeign), errors.Is(err, store.ErrUnfit):
			r, remedy = infra.Drift, "correct bucket:, owner: and place: of the store in the config, or make the bucket where they say"
		}
		return say(r, detail, remedy)
	}
	var out []infra.Finding
	for _, f := range report.Findings {
		out = append(out, driftOf(s.Name, &f))
		if f.Name == "bucket" && f.State != provision.Good {
			break // the other settings are those of a bucket that is not there
		}
	}
	return out
}

// driftOf translates what was found out about one setting.
func driftOf(name string, f *provision.Finding) infra.Finding {
	out := infra.Finding{Target: name, Source: infra.OfBucket, What: f.Name, Detail: f.Have, Remedy: f.Remedy}
	if f.Detail != "" {
		out.Detail = strings.TrimPrefix(out.Detail+": "+f.Detail, ": ")
	}
	create := fmt.Sprintf("oci-proxyctl store create %s --dry-run shows the difference and --confirm changes it; or apply the module again", name)
	switch f.State {
	case provision.Good, provision.Changed:
		out.Result = infra.OK
	case provision.Unsupported:
		out.Result = infra.Unsupported
	case provision.ByHand:
		out.Result = infra.ByHand
	case provision.Unknown:
		out.Result = infra.Unknown
	case provision.Missing, provision.Blocked, provision.Failed:
		out.Result = infra.Drift
		if f.Unsure {
			out.Result = infra.Warning
			out.Detail = strings.TrimPrefix(out.Detail+"; only a try shows whether this service has the setting", "; ")
		}
		if out.Remedy == "" {
			out.Remedy = create
		}
	}
	if out.Result == infra.Drift {
		out.Detail = strings.TrimPrefix(out.Detail+"; wanted: "+f.Want, "; ")
	}
	return out
}

// lookForList makes sure that strangers cannot list a bucket.
func lookForList(ctx context.Context, s *config.Store, ask *judge.Asker) infra.Finding {
	f := infra.Finding{Target: s.Name, Source: infra.OfClients, What: "list", Result: infra.OK, Detail: "strangers get no list"}
	for _, at := range admission.ListURLs(s) {
		switch got := ask.Ask(ctx, judge.Query{Method: http.MethodGet, URL: at, Max: 1}); {
		case got.Err != nil:
			f.Result, f.Detail = infra.Unknown, got.Err.Error()
			f.Remedy = "check that this machine may reach the store, and run the command again"
		case got.Status/100 == 2:
			f.Result, f.Detail = infra.Drift, fmt.Sprintf("a stranger may list the bucket: status %d for %s", got.Status, at)
			f.Remedy = "take the right to list away from anonymous clients: they need to read objects only"
			return f
		}
	}
	return f
}

// lookAsWriter writes a probe as the mirror does.
func (a *app) lookAsWriter(ctx context.Context, cfg *config.Config, s *config.Store) infra.Finding {
	f := infra.Finding{Target: s.Name, Source: infra.OfWriter, What: "probe", Result: infra.OK, Detail: "it can be written, and strangers read it"}
	set, err := targets.Open(ctx, cfg, targets.Options{Only: []string{s.Name}, Getenv: a.env, Logger: a.mirrorLog()})
	if err == nil {
		err = set.Preflight(ctx, 0)
		err = errors.Join(err, set.Close(context.WithoutCancel(ctx)))
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		f.Result, f.Detail, f.Remedy = infra.Unknown, "interrupted, or no answer in "+lookTimeout.String(), "run the command again"
	default:
		f.Result, f.Detail, f.Remedy = infra.Drift, err.Error(), "docs/runbook-mirror.md has a section for each reason"
	}
	return f
}

// lookAsClients asks the stores for what clients and the server ask them for.
func (a *app) lookAsClients(ctx context.Context, cfg *config.Config, images []string) map[string][]infra.Finding {
	out := map[string][]infra.Finding{}
	few := *cfg
	few.Upstreams = slices.DeleteFunc(slices.Clone(cfg.Upstreams), func(u config.Upstream) bool { return !u.Canonical }) // it says which blobs to ask for
	report, err := check.Live(ctx, &few, check.Options{Images: images, UserAgent: agent()})
	if err != nil {
		for _, s := range cfg.Stores {
			out[s.Name] = []infra.Finding{{Target: s.Name, Source: infra.OfClients, What: "live", Result: infra.Unknown, Detail: err.Error(), Remedy: "run the command again"}}
		}
		return out
	}
	results := map[check.Result]infra.Result{check.OK: infra.OK, check.Info: infra.OK, check.Warning: infra.Warning, check.Failed: infra.Drift}
	for _, f := range report.Findings {
		if f.Kind == "store" {
			out[f.Target] = append(out[f.Target], infra.Finding{Target: f.Target, Source: infra.OfClients, What: f.Check, Result: results[f.Result], Detail: f.Detail, Remedy: f.Hint})
		}
	}
	return out
}
