package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dialFrom connects to a port of this machine from an address of loopback, and asks for a path unless it is "".
// It returns the status; 0: no answer, or none asked for.
func dialFrom(t *testing.T, from, to, path string) (status int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if path == "" {
		return 0
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// TestOneAddressLocksNobodyOut guards against an old fault: one address's connections, idle or silent, took every
// place, so that neither clients nor the readiness probe got through. Now the port answers clients of other networks,
// and probes from the same network. The admin port is separate: each of the two ports works while the other is full.
func TestOneAddressLocksNobodyOut(t *testing.T) {
	const most, greedy, other = 10, "127.0.7.7", "127.0.8.8"
	for _, does := range []string{"", "/v2/"} {
		w := newWorld(t, "drain: 0s", fmt.Sprintf("drain: 0s, maxConnections: %d", most),
			"client: {behind: {header: X-Forwarded-For, entry: 1}, whoami: true}", "client: {behind: direct}")
		public, admin := w.serve(t)
		for range most {
			dialFrom(t, greedy, public, does)
		}
		for range adminConnections {
			dialFrom(t, greedy, admin, strings.Replace(does, "/v2/", "/-/live", 1))
		}
		for _, from := range []string{other, greedy} {
			if got := dialFrom(t, from, public, "/-/ready"); got != 200 {
				t.Errorf("connections that asked %q: the probe from %s gets %d", does, from, got)
			}
			if got := dialFrom(t, from, admin, "/-/ready"); got != 200 {
				t.Errorf("connections that asked %q: the admin port answers %s with %d", does, from, got)
			}
			if got := dialFrom(t, from, admin, "/metrics"); got != 200 {
				t.Errorf("connections that asked %q: /metrics for %s: %d", does, from, got)
			}
		}
		if got := dialFrom(t, other, public, "/v2/a/blobs/"+digest); got != 307 {
			t.Errorf("connections that asked %q: another network's pull gets %d", does, got)
		}
	}
}

// TestConnectionsFitIntoOpenFiles checks that the bound on connections fits the number of files that the process may
// open.
func TestConnectionsFitIntoOpenFiles(t *testing.T) {
	for _, wanted := range []int{0, 1 << 30} {
		w := newWorld(t, "drain: 0s", fmt.Sprintf("drain: 0s, maxConnections: %d", wanted))
		most := w.server.connections(w.server.wiring.Load().cfg)
		if most < 1 || most >= 1<<30 {
			t.Errorf("maxConnections %d: %d", wanted, most)
		}
		if got := strings.Contains(w.log.String(), "may not open more files"); got != (wanted > 0) {
			t.Errorf("maxConnections %d: said %t: %s", wanted, got, w.log)
		}
	}
}
