package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/registry"
)

// Access says how to reach registries.
type Access struct {
	// PlainHTTP are the hosts that speak plain HTTP. Loopback always does.
	PlainHTTP []string
	// Rate and Parallel bound the requests to each host; 0 takes the defaults of a [registry.Budget].
	Rate     float64
	Parallel int
	Keychain authn.Keychain    // nil: Docker's configuration, then Google's ambient identity
	Timeout  time.Duration     // for one answer; 0: a minute
	Base     http.RoundTripper // nil: the registry's own transport
	Logger   *slog.Logger      // logs waits for a registry; may be nil
}

// Registries are the registries that manifests name, each host opened once. It is the [Holdings] of the network. Its
// methods may be called concurrently.
type Registries struct {
	access Access

	mu    sync.Mutex
	hosts map[string]*registry.Registry
}

// NewRegistries makes no request.
func NewRegistries(a Access) *Registries {
	return &Registries{access: a, hosts: map[string]*registry.Registry{}}
}

// At returns the registry of a repository's full name, and the name there.
func (r *Registries) At(full string) (*registry.Registry, string, error) {
	host, name, ok := SplitRepository(full)
	if !ok {
		return nil, "", fmt.Errorf("%q is no repository", full)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if reg := r.hosts[host]; reg != nil {
		return reg, name, nil
	}
	reg, err := registry.Open(r.options(host))
	if err != nil {
		return nil, "", err
	}
	r.hosts[host] = reg
	return reg, name, nil
}

// options returns the options for a host, with its own budget.
func (r *Registries) options(host string) registry.Options {
	scheme := "https"
	insecure := outbound.Loopback(host) || slices.Contains(r.access.PlainHTTP, host)
	if insecure {
		scheme = "http"
	}
	return registry.Options{
		URL: scheme + "://" + host, Insecure: insecure, Keychain: r.access.Keychain, Timeout: r.access.Timeout, Transport: r.access.Base,
		Logger: r.access.Logger,
		Budget: registry.NewBudget(r.access.Rate, r.access.Parallel),
	}
}

// List implements [Holdings].
func (r *Registries) List(ctx context.Context, repository string) (*registry.Listing, error) {
	reg, name, err := r.At(repository)
	if err != nil {
		return nil, err
	}
	return reg.List(ctx, name)
}

// Resolve implements [Holdings].
func (r *Registries) Resolve(ctx context.Context, repository, ref string) (oci.Digest, error) {
	reg, name, err := r.At(repository)
	if err != nil {
		return oci.Digest{}, err
	}
	d, err := reg.Resolve(ctx, name, ref)
	return d.Digest, err
}

// NameUnknown implements [Holdings] with a GET, because an answer to HEAD gives no reason.
func (r *Registries) NameUnknown(ctx context.Context, repository string, d oci.Digest) (bool, error) {
	reg, name, err := r.At(repository)
	if err != nil {
		return false, err
	}
	_, err = reg.Manifest(ctx, name, d.String())
	if registry.NameUnknown(err) {
		return true, nil
	}
	if errors.Is(err, registry.ErrNotFound) {
		err = nil
	}
	return false, err
}

// Requests returns how many requests each host got so far, repetitions included.
func (r *Registries) Requests() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]int64, len(r.hosts))
	for host, reg := range r.hosts {
		out[host], _, _ = reg.Budget().Stats()
	}
	return out
}

// Close ends idle connections.
func (r *Registries) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reg := range r.hosts {
		reg.Close()
	}
}
