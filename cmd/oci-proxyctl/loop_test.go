package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A web page whose name resolves to the port could read a loop's metrics in an operator's browser. The port must
// refuse it.
func TestWhoMayAskALoop(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stderr: &stderr}
	ok := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("metrics\n")) })
	stop, err := a.serveLoop(t.Context(), listening{"127.0.0.1:0", []string{"Mirror.monitoring.svc"}}, ok)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	url := regexp.MustCompile(`http://\S+`).FindString(stderr.String())
	for _, test := range []struct {
		host, origin string
		want         int
		text         string
	}{
		{"", "", 200, "metrics"},
		{"localhost:9091", "", 200, "metrics"},
		{"[2001:db8::1]:9091", "", 200, "metrics"},
		{"mirror.monitoring.svc:9091", "", 200, "metrics"},
		{"other.monitoring.svc:9091", "", 421, "--listen-host"},
		{"evil.example:9091", "", 421, "--listen-host"},
		{"localhost:9091", "http://evil.example", 403, "curl"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if req.Host = test.host; test.host == "" {
			req.Host = req.URL.Host
		}
		if test.origin != "" {
			req.Header.Set("Origin", test.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.want || !strings.Contains(string(body), test.text) {
			t.Errorf("%q from %q: %d %q, want %d and %q", test.host, test.origin, resp.StatusCode, body, test.want, test.text)
		}
	}
}

// A name with a scheme or a port would never match a Host header.
func TestListenHostIsAName(t *testing.T) {
	for _, host := range []string{"", "http://proxy.example.org", "proxy.example.org:9091", "*.example.org"} {
		a := &app{stderr: io.Discard}
		if stop, err := a.serveLoop(t.Context(), listening{"127.0.0.1:0", []string{host}}, http.NotFoundHandler()); err == nil {
			stop()
			t.Errorf("%q is taken", host)
		}
	}
}

// Idle connections to the port must not use up the file descriptors that the mirror's work needs.
func TestALoopHasFewConnections(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stderr: &stderr}
	ok := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("ok\n")) })
	stop, err := a.serveLoop(t.Context(), listening{address: "127.0.0.1:0"}, ok)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	address := regexp.MustCompile(`http://(\S+)`).FindStringSubmatch(stderr.String())[1]
	const more = 20
	var dialer net.Dialer
	readers := make([]*bufio.Reader, loopConnections+more)
	for i := range readers {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		readers[i] = bufio.NewReader(conn)
		_, _ = io.WriteString(conn, "GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(readers[i], nil)
		if err != nil {
			t.Fatalf("connection %d is not answered: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ended := make(chan struct{}, len(readers))
	for _, r := range readers {
		go func() { // ends with its connection
			_, _ = r.ReadByte()
			ended <- struct{}{}
		}()
	}
	for range more { // idle ones were closed
		<-ended
	}
}
