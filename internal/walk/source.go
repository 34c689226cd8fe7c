package walk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"

	"golang.org/x/time/rate"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
	"ociproxy/internal/transfer"
)

// Source is what is mirrored: a registry and a selection of its repositories. It also reads blobs for a
// [transfer.Engine].
type Source struct {
	Name      string // of the upstream
	Registry  *registry.Registry
	Select    *Selection
	Referrers bool // ask for what refers to each image
	Parallel  int  // manifests at once

	denied map[oci.Digest]bool
}

// NewSource makes the source that a config's mirror stanza names. It makes no request, but reads the promoter
// manifests. only, when not empty, names the repositories to walk in place of the stanza's; the stanza's exclusions
// still apply. log gets a line when the source waits for the registry; nil discards it.
func NewSource(cfg *config.Config, only []string, log *slog.Logger) (*Source, error) {
	m := cfg.Mirror
	i := slices.IndexFunc(cfg.Upstreams, func(u config.Upstream) bool { return u.Name == m.Source })
	if i < 0 {
		return nil, errors.New("the config has no mirror stanza with a source")
	}
	u := cfg.Upstreams[i]
	opt := registry.Options{
		URL: u.URL, Prefix: u.Prefix, Insecure: u.Insecure, Discovery: discovery(m.Listing),
		Budget: registry.NewBudget(m.RequestsPerSecond, m.Parallel), Logger: log,
	}
	if m.BandwidthMBps > 0 {
		// The burst is what one read may take at once.
		opt.Bandwidth = rate.NewLimiter(rate.Limit(m.BandwidthMBps*1e6), max(64<<10, int(m.BandwidthMBps*1e6/10)))
	}
	r, err := registry.Open(opt)
	if err != nil {
		return nil, err
	}
	s := &Source{Name: u.Name, Registry: r, Referrers: m.Referrers, Parallel: m.Parallel, denied: map[oci.Digest]bool{}}
	for _, d := range cfg.Deny.Digests {
		s.denied[d] = true
	}
	if s.Select, err = newSelection(m.Repositories, only, r.String()); err != nil {
		return nil, err
	}
	return s, nil
}

func discovery(l config.Listing) registry.Discovery {
	switch l {
	case config.ListGoogle:
		return registry.Google
	case config.ListCatalog:
		return registry.Catalog
	default:
		return registry.Auto
	}
}

// Denied reports whether a digest must never be copied.
func (s *Source) Denied(d oci.Digest) bool { return s.denied[d] }

// Close closes idle connections.
func (s *Source) Close() { s.Registry.Close() }

// Open implements [transfer.Source].
func (s *Source) Open(ctx context.Context, b transfer.Blob, off int64) (io.ReadCloser, error) {
	at := func(repository string) (*registry.Registry, string, error) { return s.Registry, repository, nil }
	return Blobs(at).Open(ctx, b, off)
}
