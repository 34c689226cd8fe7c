package main

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/outbound"
	"ociproxy/internal/ranges"
)

// located are the address ranges of a config.
type located struct {
	cfg    *config.Config
	ranges *ranges.Ranges
}

// locate loads the address ranges of cfg from this machine. It fetches the feeds when one of them has no copy here,
// unless --seed names the only directory to read. same is another config's ranges, which are taken when cfg has the
// same; nil: none. A feed without a copy is a warning: its clients count as unknown.
func (a *app) locate(ctx context.Context, how *replaying, cfg *config.Config, same *located) (*located, error) {
	if same != nil && reflect.DeepEqual(cfg.Ranges, same.cfg.Ranges) && reflect.DeepEqual(cfg.Places, same.cfg.Places) {
		return same, nil
	}
	transport := outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: how.feedTimeout, Idle: 30 * time.Second,
	})
	defer transport.CloseIdleConnections()
	use := cfg.Ranges
	if how.seed != "" {
		use.Seed, use.Cache, how.feeds = how.seed, "", nil
		for _, f := range use.Feeds {
			how.feeds = append(how.feeds, cmp.Or(f.Cloud, string(f.Provider)))
		}
	}
	r, err := ranges.New(use, cfg.Map(), ranges.Options{Client: &http.Client{Transport: transport}, Timeout: how.feedTimeout})
	if err != nil {
		return nil, err
	}
	if how.seed == "" && len(unlocated(r)) > 0 {
		within, cancel := context.WithTimeout(ctx, how.feedTimeout)
		defer cancel()
		_ = r.Refresh(within) // the status says which feeds have no copy now
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	missing := unlocated(r)
	for _, f := range missing {
		why := f.LastError
		if why == "" {
			why = "it has no file in " + use.Seed
		}
		how.warn(a, "feed %s: %s", f.Name, cli.OneLine(strings.TrimSpace(why)))
	}
	if len(missing) > 0 {
		how.warn(a, "the clients of %s count as unknown; oci-proxyctl ranges fetch DIR gets feeds for --seed DIR", cli.Count(int64(len(missing)), "feed"))
	}
	return &located{cfg, r}, nil
}

// unlocated lists the feeds and GeoIP files of which no copy is in use.
func unlocated(r *ranges.Ranges) (out []ranges.FeedStatus) {
	for _, s := range r.Status() {
		if s.From == "" {
			out = append(out, s)
		}
	}
	return out
}
