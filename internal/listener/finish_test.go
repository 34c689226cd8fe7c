package listener

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"ociproxy/internal/clientip"
)

// end ends the server as a program does: it first answers the requests of accepted connections, then it closes the idle
// connections.
func (s *site) end(t *testing.T) (done chan struct{}) {
	t.Helper()
	done = make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		defer close(done)
		defer cancel()
		s.Finish(ctx)
		if ctx.Err() != nil {
			t.Error("Finish waits for nothing")
		}
		_ = s.server.Shutdown(ctx)
	}()
	s.until(t, "no further connection is accepted", s.last.Load)
	return done
}

// accepted waits until n connections are accepted. They need not have sent anything.
func (s *site) accepted(t *testing.T, n int) {
	t.Helper()
	s.until(t, "connections accepted", func() bool {
		s.pool.mu.Lock()
		defer s.pool.mu.Unlock()
		return s.pool.open+len(s.pool.unnamed.conns) == n
	})
}

// TestFinishAnswersWhatWasAccepted: a restart lost requests before. The server closed an accepted connection without an
// answer when its PROXY header, handshake or first request came after the end began.
func TestFinishAnswersWhatWasAccepted(t *testing.T) {
	e, err := clientip.New(clientip.Rule{ProxyProtocol: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	proxied := Options{Max: 100, Front: e.Front, Announces: e.Announces, Header: clientip.ReadProxyHeader}
	secure := Options{Max: 100, TLS: certificate(), Handshake: time.Minute}
	both := proxied
	both.TLS, both.Handshake = secure.TLS, secure.Handshake
	const header = "PROXY TCP4 203.0.113.7 192.0.2.80 40000 443\r\n"
	for what, opt := range map[string]Options{"plain": {Max: 100}, "TLS": secure, "PROXY": proxied, "PROXY and TLS": both} {
		t.Run(what, func(t *testing.T) {
			s := open(t, opt)
			var clients []*client
			for range 20 {
				clients = append(clients, s.dial(t, "127.0.0.1"))
			}
			s.accepted(t, len(clients))
			done := s.end(t)
			for i, c := range clients {
				if opt.Header != nil {
					if _, err := c.Write([]byte(header)); err != nil {
						t.Errorf("client %d: %v", i, err)
					}
				}
				if opt.TLS != nil {
					over := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
					c = &client{over, bufio.NewReader(over)}
				}
				if got := c.get("/"); !served(got) {
					t.Errorf("client %d: %q", i, got)
				}
			}
			<-done
		})
	}
}

// TestFinishWaitsForAnswers: a request that is being answered gets its answer. Idle and silent connections delay
// nothing.
func TestFinishWaitsForAnswers(t *testing.T) {
	s := open(t, Options{Max: 100})
	slow, idler, silent := s.dial(t, "127.0.0.1"), s.dial(t, "127.0.0.2"), s.dial(t, "127.0.0.3")
	if got := idler.get("/"); !served(got) {
		t.Fatal(got)
	}
	s.settled(t, 3, 1)
	s.pool.mu.Lock()
	for c := range s.pool.networks[own(addrOf(silent.LocalAddr()))].conns {
		c.since = c.since.Add(-firstRequest)
	}
	s.pool.mu.Unlock()
	answer := make(chan string)
	go func() { answer <- slow.get("/hold") }()
	<-s.held
	finished := make(chan struct{})
	go func() { defer close(finished); s.Finish(t.Context()) }()
	s.until(t, "no further connection is accepted", s.last.Load)
	select {
	case <-finished:
		t.Error("a request was not answered yet")
	default:
	}
	s.hold <- struct{}{}
	if got := <-answer; !served(got) {
		t.Errorf("the slow request: %q", got)
	}
	<-finished
	if got := idler.get("/"); !served(got) {
		t.Errorf("the idle connection, before the server shuts down: %q", got)
	}
}

// TestFinishIsBounded: a request that never ends does not keep Finish longer than its context.
func TestFinishIsBounded(t *testing.T) {
	s := open(t, Options{Max: 100})
	go s.dial(t, "127.0.0.1").get("/hold")
	<-s.held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Finish(ctx)
}

// TestTheNextProcessAcceptsTheQueue: while another process has the socket too, connections that come after Finish wait
// in the kernel. The next process that accepts gets them.
func TestTheNextProcessAcceptsTheQueue(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	file, err := held.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	site := func() *site {
		l, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		return openOn(t, l, Options{Max: 100})
	}
	first := site()
	if got := first.dial(t, "127.0.0.1").get("/"); !served(got) {
		t.Fatal(got)
	}
	<-first.end(t)
	var waiting []*client
	for range 20 {
		waiting = append(waiting, first.dial(t, "127.0.0.1"))
	}
	site()
	for i, c := range waiting {
		if got := c.get("/"); !served(got) {
			t.Errorf("connection %d: %q", i, got)
		}
	}
}
