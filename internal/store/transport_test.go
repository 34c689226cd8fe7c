package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/pace"
)

// pipes is a network inside the process that runs on the test's clock.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return new(net.TCPAddr) }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p <- there
	c := &roomy{Conn: here, queue: make(chan []byte, 128), closed: make(chan struct{})}
	go c.carry()
	return c, nil
}

// roomy is a connection that takes some MiB at once, like a kernel's buffer, even if the other side does not read.
type roomy struct {
	net.Conn
	queue  chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *roomy) Write(p []byte) (int, error) {
	select {
	case c.queue <- bytes.Clone(p):
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *roomy) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *roomy) carry() {
	for {
		select {
		case p := <-c.queue:
			if _, err := c.Conn.Write(p); err != nil {
				return
			}
		case <-c.closed:
			return
		}
	}
}

// A request that makes progress may take longer than the limit; one that makes none may not. This holds in both
// directions.
func TestGuard(t *testing.T) {
	const limit = time.Minute
	for path, c := range map[string]struct {
		send  int
		want  int
		stall bool
		takes time.Duration
	}{
		"/never": {0, 0, true, limit}, "/stops": {0, 1000, true, limit}, "/slow": {0, 6 * pace.Window, false, 3 * limit},
		"/drips": {0, 11, true, limit}, "/sips": {64 * pace.Window, 0, true, limit},
		"/takes": {60 * pace.Window, 0, false, 30 * limit / 12}, "/refuses": {64 * pace.Window, 0, true, limit},
	} {
		t.Run(path[1:], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				server := &http.Server{ReadHeaderTimeout: limit, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/never", "/refuses":
						<-release
					case "/stops":
						w.Write(make([]byte, 1000))
						http.NewResponseController(w).Flush()
						<-release
					case "/drips": // ErrSlow, although something moves all the time
						for range 11 {
							w.Write([]byte{1})
							http.NewResponseController(w).Flush()
							<-time.After(limit/10 - 1)
						}
						<-release
					case "/sips":
						for range 9 {
							<-time.After(limit / 10)
							io.CopyN(io.Discard, r.Body, 10)
						}
						<-release
					case "/slow":
						for range 6 {
							<-time.After(limit / 2) // on the clock of synctest
							w.Write(make([]byte, pace.Window))
						}
					case "/takes":
						for range 30 {
							<-time.After(limit / 12)
							io.CopyN(io.Discard, r.Body, 2*pace.Window)
						}
					}
				})}
				network := make(pipes)
				served := make(chan struct{})
				go func() { defer close(served); server.Serve(network) }()
				defer func() {
					close(release)
					close(network)
					server.Close()
					<-served
					<-time.After(limit) // time for connections that close late
				}()
				transport := &http.Transport{DialContext: network.dial}
				defer transport.CloseIdleConnections()
				client := Options{Timeout: limit, Transport: transport}.client()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://bucket"+path, bytes.NewReader(make([]byte, c.send)))
				if err != nil {
					t.Fatal(err)
				}
				begun, n := time.Now(), 0
				resp, err := client.Do(req)
				if err == nil {
					var got []byte
					got, err = io.ReadAll(resp.Body)
					resp.Body.Close()
					n = len(got)
				}
				var s stalled
				if n != c.want || errors.As(err, &s) != c.stall || time.Since(begun) != c.takes {
					t.Errorf("%d bytes, %v after %s; want %d, stalled %v after %s", n, err, time.Since(begun), c.want, c.stall, c.takes)
				}
			})
		})
	}
}
