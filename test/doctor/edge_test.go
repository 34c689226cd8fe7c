package doctor

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// edge is port 443 of a host, in both families. What it does with connections can be changed at any time.
type edge struct {
	handle atomic.Pointer[func(net.Conn)]
}

func newEdge(t *testing.T, n int) *edge {
	t.Helper()
	e := &edge{}
	for _, host := range []string{ip4(n), ip6(n)} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "443"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go (*e.handle.Load())(c)
			}
		}()
	}
	return e
}

func (e *edge) set(handle func(net.Conn)) { e.handle.Store(&handle) }

// cut ends connections when the client has said whom it wants: a firewall that filters by name.
func cut(c net.Conn) {
	defer c.Close()
	_, _ = c.Read(make([]byte, 1<<10))
	_ = c.(*net.TCPConn).SetLinger(0)
}

// hold reads and never answers.
func hold(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(io.Discard, c)
}

// serve answers with handler behind a certificate.
func serve(t *testing.T, c tls.Certificate, handler http.Handler) func(net.Conn) {
	t.Helper()
	return serveConn(t, handler, func(conn net.Conn) net.Conn {
		return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"http/1.1"}})
	})
}

func serveConn(t *testing.T, handler http.Handler, wrap func(net.Conn) net.Conn) func(net.Conn) {
	l := &handed{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return func(c net.Conn) {
		select {
		case l.conns <- wrap(c):
		case <-l.done:
			c.Close()
		}
	}
}

// handed is a listener for connections that were accepted elsewhere.
type handed struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *handed) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, errors.New("closed")
	}
}

func (l *handed) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *handed) Addr() net.Addr { return &net.TCPAddr{} }

// relay passes requests on to a server, and lets change alter them and the answers.
func relay(backend string, request func(*http.Request), answer func(*http.Response) error) http.Handler {
	to, err := url.Parse(backend)
	if err != nil {
		panic(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			if request != nil {
				request(r.Out)
			}
		},
		ModifyResponse: answer,
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, DisableCompression: true},
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}
