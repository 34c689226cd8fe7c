package listener

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server behind a [Listener] on loopback. Each loopback address is a separate network.
type site struct {
	*Listener
	counts [Refused + 1]atomic.Int64
	hold   chan struct{} // /hold waits for it
	held   chan struct{} // gets a value for each request that waits
}

func own(a netip.Addr) netip.Prefix {
	if !a.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func open(t *testing.T, opt Options) *site {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{hold: make(chan struct{}), held: make(chan struct{}, 100)}
	opt.Network, opt.Logger = own, slog.New(slog.DiscardHandler)
	opt.Observe = func(e Event) { s.counts[e].Add(1) }
	s.Listener = New(inner, opt)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Protocols: protocols, ConnState: State, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				s.held <- struct{}{}
				<-s.hold
			}
			_, _ = io.WriteString(rw, r.RemoteAddr)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(s.Listener) }()
	t.Cleanup(func() {
		close(s.hold)
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s
}

// client is one connection.
type client struct {
	net.Conn
	in *bufio.Reader
}

// dial connects from an address of loopback.
func (s *site) dial(t *testing.T, from string) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{c, bufio.NewReader(c)}
}

// get asks for a path over the connection and returns the body of the answer, or "" when there is no answer.
func (c *client) get(path string) string {
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return ""
	}
	return c.answer()
}

func (c *client) answer() string {
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK {
		return r.Status
	}
	return string(body)
}

func (s *site) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("not in a minute: " + what)
		}
	}
}

// settled waits until the listener has this number of open connections, and this number of idle ones among them.
func (s *site) settled(t *testing.T, n, idles int) {
	t.Helper()
	s.until(t, "connections open", func() bool {
		s.pool.mu.Lock()
		defer s.pool.mu.Unlock()
		found := 0
		all := []*network{&s.pool.fronts}
		for _, n := range s.pool.networks {
			all = append(all, n)
		}
		for _, n := range all {
			for c := range n.conns {
				if c.now() == idle {
					found++
				}
			}
		}
		return s.pool.open == n && found == idles
	})
}

func served(answer string) bool {
	return strings.HasPrefix(answer, "127.") || strings.HasPrefix(answer, "203.")
}
