package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"ociproxy/internal/credential"
	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
)

// Discovery is the way to find repositories.
type Discovery int

// These are the ways to find repositories. Auto tries Google's listing if there is a prefix to ask for, then the
// catalog.
const (
	Auto Discovery = iota
	Google
	Catalog
)

// Options are the options of [Open].
type Options struct {
	URL       string // scheme and host: "https://registry.example.org"
	Prefix    string // of all repositories: "project/images"; may be empty
	Insecure  bool   // plain HTTP is allowed, in URL and in redirects
	Discovery Discovery
	// Keychain has the credentials. nil means Docker's configuration, then Google's ambient identity for Google's
	// hosts.
	Keychain authn.Keychain
	// Budget is the budget of the host. nil makes a default one. Registries on one host should share one budget.
	Budget *Budget
	// Bandwidth limits the bytes of blobs read, for all registries that share it. nil means no limit.
	Bandwidth *rate.Limiter
	// Transport makes the requests. nil means a transport of this package, whose idle connections Close ends.
	Transport http.RoundTripper
	// Timeout is how long an answer may take. It is also the time in which a body, the host's or ours, must move
	// [pace.Window] bytes or end; so the time for a complete blob grows with its size. The default is 60 s.
	Timeout time.Duration
	// Logger gets a line when a host makes us wait. nil discards it.
	Logger *slog.Logger
}

// Registry is one registry, or the part of it below a prefix. Its methods take and return repository names without the
// prefix. A Registry is safe for concurrent use.
type Registry struct {
	scheme, host string
	prefix       string
	insecure     bool
	discovery    Discovery
	keychain     authn.Keychain
	budget       *Budget
	bandwidth    *rate.Limiter
	timeout      time.Duration
	log          *slog.Logger
	hosts        outbound.Hosts // the hosts to which requests are sent

	name    name.Registry
	own     *meter // requests to the host and its token service
	foreign *meter // requests to the hosts to which the host redirects
	idle    func() // closes idle connections

	challenge challenge
	accesses  *otter.Cache[string, *access]

	noReferrers atomic.Bool // there is no referrers API

	mu       sync.Mutex
	sessions map[string]*url.URL // uploads that a refused mount has started, by repository and digest
}

// Open makes a registry. It makes no request.
func Open(opt Options) (*Registry, error) {
	u, err := url.Parse(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", opt.URL, err)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, fmt.Errorf("registry %q: want https://HOST and nothing else", opt.URL)
	case u.Scheme == "http" && !opt.Insecure:
		return nil, fmt.Errorf("registry %q: plain HTTP is not allowed", opt.URL)
	}
	prefix := strings.Trim(opt.Prefix, "/")
	if prefix != "" && !oci.ValidName(prefix) {
		return nil, fmt.Errorf("registry %q: prefix %q is no repository name", opt.URL, opt.Prefix)
	}
	// Docker Hub's name is an alias of the host that serves the protocol.
	reg, err := name.NewRegistry(strings.ToLower(u.Host))
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", opt.URL, err)
	}
	accesses, err := otter.New(&otter.Options[string, *access]{MaximumSize: maxAccesses})
	if err != nil {
		return nil, err
	}
	r := &Registry{
		scheme: u.Scheme, host: reg.RegistryStr(), prefix: prefix, insecure: opt.Insecure, discovery: opt.Discovery,
		keychain: opt.Keychain, budget: opt.Budget, bandwidth: opt.Bandwidth, timeout: opt.Timeout,
		name: reg, accesses: accesses, challenge: challenge{turn: make(chan struct{}, 1)}, sessions: map[string]*url.URL{},
	}
	if r.log = opt.Logger; r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.timeout <= 0 {
		r.timeout = 60 * time.Second
	}
	if r.keychain == nil {
		r.keychain = authn.NewMultiKeychain(credential.DockerKeychain(r.timeout), credential.GoogleKeychain(r.timeout, r.log))
	}
	if r.budget == nil {
		r.budget = NewBudget(0, 0)
	}
	base := opt.Transport
	if base == nil {
		t := newTransport(cap(r.budget.slots) + cap(r.budget.streams))
		base, r.idle = t, t.CloseIdleConnections
	}
	base = outbound.Explaining(transport.NewUserAgent(base, "oci-proxyctl"))
	r.own = &meter{base: base, registry: r, counts: true}
	r.foreign = &meter{base: base, registry: r}
	return r, nil
}

// Close ends idle connections. The registry may still be used afterwards.
func (r *Registry) Close() {
	if r.idle != nil {
		r.idle()
	}
}

// String returns host and prefix: the beginning of image references.
func (r *Registry) String() string {
	if r.prefix == "" {
		return r.host
	}
	return r.host + "/" + r.prefix
}

// Path returns the name of a repository on the host, which includes the prefix.
func (r *Registry) Path(repo string) string {
	if r.prefix == "" {
		return repo
	}
	if repo == "" {
		return r.prefix
	}
	return r.prefix + "/" + repo
}

// Budget returns the budget that the requests use.
func (r *Registry) Budget() *Budget { return r.budget }

// newTransport returns a transport that bounds the cost of a connection. It does not unpack bodies: a blob must have
// the bytes of its digest.
func newTransport(connections int) *http.Transport {
	return outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Idle: 90 * time.Second,
		Kept: connections, KeptInAll: 2 * connections, HeaderBytes: 256 << 10,
	})
}

// checkRepo makes sure that the full name of a repository is within the grammar, and so needs no escaping.
func (r *Registry) checkRepo(repo string) error {
	if !oci.ValidName(r.Path(repo)) {
		return fmt.Errorf("repository %q: invalid name", clean(r.Path(repo)))
	}
	return nil
}

// checkRef makes sure that a reference is a tag or a digest.
func checkRef(ref string) (d oci.Digest, err error) {
	if strings.Contains(ref, ":") {
		return oci.ParseDigest(ref)
	}
	if !oci.ValidTag(ref) {
		return d, errors.New("invalid tag")
	}
	return d, nil
}

// spell writes a reference as users do: host/repository:tag or host/repository@digest.
func (r *Registry) spell(repo, ref string) string {
	at := ":"
	if strings.Contains(ref, ":") {
		at = "@"
	}
	return r.host + "/" + r.Path(repo) + at + ref
}

// url makes a URL below /v2/. The path consists of validated names, tags and digests only, which need no escaping.
func (r *Registry) url(path string, query url.Values) *url.URL {
	return &url.URL{Scheme: r.scheme, Host: r.host, Path: "/v2/" + path, RawQuery: query.Encode()}
}
