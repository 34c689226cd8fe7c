// Package hop is the load balancer of the tests: a reverse proxy that passes a client address of the test's choice to
// the server behind it, and records every answer.
//
// It knows how to append to X-Forwarded-For. It must not know what the answers mean.
package hop

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Exchange is one request and its answer.
type Exchange struct {
	Method   string
	Path     string // escaped, with its query
	Range    string
	Agent    string
	Status   int
	Location string
}

// Hop is a running hop. All its clients seem to have one address.
type Hop struct {
	Addr string // host:port that clients use

	mu     sync.Mutex
	client netip.Addr
	seen   []Exchange
}

// SetClient sets the clients' address from now on.
func (h *Hop) SetClient(client netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.client = client
}

// Client returns the clients' address.
func (h *Hop) Client() netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.client
}

// Start starts a hop in front of the server at backend (host:port) for clients at the given address.
func Start(t testing.TB, backend string, client netip.Addr) *Hop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &Hop{Addr: l.Addr().String(), client: client}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host
			// Keep what the client itself claims in front, as a load balancer does.
			for _, claimed := range r.In.Header.Values("X-Forwarded-For") {
				r.Out.Header.Add("X-Forwarded-For", claimed)
			}
			r.Out.Header.Add("X-Forwarded-For", h.Client().String())
		},
		ModifyResponse: func(resp *http.Response) error {
			in := resp.Request
			h.mu.Lock()
			defer h.mu.Unlock()
			h.seen = append(h.seen, Exchange{Method: in.Method, Path: in.URL.RequestURI(), Range: in.Header.Get("Range"),
				Agent: in.Header.Get("User-Agent"), Status: resp.StatusCode, Location: resp.Header.Get("Location")})
			return nil
		},
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return h
}

// Take returns the exchanges since the last Take.
func (h *Hop) Take() []Exchange {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.seen
	h.seen = nil
	return seen
}
