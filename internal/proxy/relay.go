package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/route"
)

const (
	relayTimeout  = 5 * time.Second // of one upstream
	maxRelayBytes = 8 << 20
	// maxRelayMemory bounds the tag lists in memory at once: being read, or written to clients that read slowly.
	maxRelayMemory = 96 << 20
	// maxClientRelays bounds the tag lists of one client network under way.
	maxClientRelays = 4
)

// errNotFound is an upstream's 404.
var errNotFound = errors.New("repository not found")

// relays bounds the tag lists under way. A list keeps its share until it is written.
type relays struct {
	memory *semaphore.Weighted

	mu      sync.Mutex
	clients map[netip.Prefix]int
}

func newRelays() *relays {
	return &relays{memory: semaphore.NewWeighted(maxRelayMemory), clients: map[netip.Prefix]int{}}
}

// acquire takes room for one list of the largest size; release gives it back, shrink all but n bytes of it.
func (r *relays) acquire(client netip.Prefix) (release func(), shrink func(n int), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients[client] >= maxClientRelays || !r.memory.TryAcquire(maxRelayBytes) {
		return nil, nil, false
	}
	r.clients[client]++
	held := int64(maxRelayBytes)
	shrink = func(n int) {
		if rest := held - int64(n); rest > 0 {
			r.memory.Release(rest)
			held -= rest
		}
	}
	release = func() {
		r.memory.Release(held)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.clients[client]--; r.clients[client] == 0 {
			delete(r.clients, client)
		}
	}
	return release, shrink, true
}

// relay fetches a tag list and passes it on under the name the client asked for: clients follow pagination
// links only on the host they asked. When the near upstream fails, canonical answers.
func (s *Server) relay(ctx context.Context, w *world, a *answer) {
	release, shrink, ok := s.relays.acquire(route.Network(a.client.Addr))
	if !ok {
		a.refuse(oci.ErrUnavailable.With("too many tag lists under way"))
		return
	}
	a.done = release
	for i := a.decision.Candidate; ; {
		list, err := s.fetchTags(ctx, &w.snapshot.Candidates[i], a.req)
		if err == nil && list.empty && i != w.snapshot.Canonical {
			// distribution answers so to a later page (last=…) of a repository that it lacks; the first page was canonical's.
			err = errNotFound
		}
		a.decision.Candidate = i
		if ctx.Err() != nil {
			a.refuse(oci.ErrUnavailable.With("the client went away")) // nobody's fault, and nobody reads it
			a.err, a.gone = nil, true
			return
		}
		s.metrics.Relays.WithLabelValues(w.snapshot.Candidates[i].Name, relayResult(err)).Inc()
		switch {
		case err == nil:
			shrink(len(list.body))
			a.status, a.body, a.json, a.link = http.StatusOK, list.body, true, list.link
			return
		case i == w.snapshot.Canonical && errors.Is(err, errNotFound):
			a.refuse(oci.ErrNameUnknown)
			return
		case i == w.snapshot.Canonical:
			w.health.Suspect(i)
			a.refuse(oci.ErrUnavailable.With("the tag list cannot be fetched now"))
			a.err = err
			return
		case !errors.Is(err, errNotFound):
			w.health.Suspect(i)
		}
		i, a.decision.Reason = w.snapshot.Canonical, route.LastResort
		if !w.allow(i) {
			a.refuse(oci.ErrTooManyRequests)
			return
		}
	}
}

func relayResult(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errNotFound):
		return "not-found"
	default:
		return "failed"
	}
}

func (s *Server) fetchTags(ctx context.Context, c *route.Candidate, req oci.Request) (tagList, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Location(req), nil)
	if err != nil {
		return tagList{}, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "oci-proxy")
	// A redirect could lead anywhere; a registry answers this itself.
	client := *s.client
	client.CheckRedirect = outbound.NoRedirect
	resp, err := client.Do(r)
	if err != nil {
		return tagList{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return tagList{}, fmt.Errorf("%s: %w", c.Name, errNotFound)
	default:
		return tagList{}, fmt.Errorf("%s: status %d", c.Name, resp.StatusCode)
	}
	list, err := rewriteTags(resp.Body, resp.Header.Get("Link"), req)
	if err != nil {
		return tagList{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	return list, nil
}
