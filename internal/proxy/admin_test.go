package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// askPort sends a request to a port and returns its status and body.
func askPort(t *testing.T, to, request string, headers ...string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "%s\r\nConnection: close\r\n%s\r\n\r\n", request, strings.Join(headers, "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// TestWhoMayAskTheAdminPort guards against an old fault: any web page could read the admin port in an operator's
// browser, by a name that resolves to it, and start profiles there.
func TestWhoMayAskTheAdminPort(t *testing.T) {
	w := newWorld(t, "pages:", "admin: {listen: \"127.0.0.1:0\", hosts: [oci-proxy.monitoring.svc, proxy]}\npages:")
	_, admin := w.serve(t)
	const browser = "User-Agent: Mozilla/5.0 (X11; Linux) Gecko"
	for _, test := range []struct {
		what, path, host string
		headers          []string
		want             int
	}{
		{"Prometheus by pod IP", "/metrics", "10.1.2.3:9090", nil, 200},
		{"Prometheus by pod IPv6", "/metrics", "[2001:db8::7]:9090", nil, 200},
		{"IPv6 without port", "/metrics", "[::1]", nil, 200},
		{"Prometheus by the Service's name", "/metrics", "oci-proxy.monitoring.svc:9090", nil, 200},
		{"the same, written otherwise", "/metrics", "OCI-Proxy.Monitoring.SVC.", nil, 200},
		{"a short name", "/metrics", "proxy:9090", nil, 200},
		{"a port-forward", "/metrics", "localhost:38127", nil, 200},
		{"a port-forward, pprof", "/debug/pprof/cmdline", "localhost:38127", nil, 200},
		{"the kubelet", "/-/ready", "10.1.2.3:9090", []string{"User-Agent: kube-probe/1.33"}, 200},
		{"a person at the address", "/metrics", "10.1.2.3:9090", []string{browser}, 200},
		{"a person on localhost", "/debug/pprof/", "localhost:9090", []string{browser, "Sec-Fetch-Site: none"}, 200},
		{"a link within pprof", "/debug/pprof/cmdline", "localhost:9090", []string{browser, "Sec-Fetch-Site: same-origin"}, 200},
		{"our own origin", "/metrics", "10.1.2.3:9090", []string{"Origin: http://10.1.2.3:9090"}, 200},

		{"DNS rebinding", "/metrics", "evil.example:9090", nil, 421},
		{"DNS rebinding, a name like an address", "/metrics", "127.0.0.1.evil.example", nil, 421},
		{"DNS rebinding, a name below localhost's", "/metrics", "localhost.evil.example", nil, 421},
		{"DNS rebinding, explain", "/explain?ip=192.0.2.1", "evil.example", nil, 421},
		{"DNS rebinding, profiles", "/debug/pprof/heap", "evil.example", nil, 421},
		{"a listed name's neighbour", "/metrics", "x.proxy", nil, 421},
		{"another origin", "/metrics", "10.1.2.3:9090", []string{"Origin: http://evil.example"}, 403},
		{"another port", "/metrics", "localhost:9090", []string{"Origin: http://localhost:8080"}, 403},
		{"no origin to name", "/metrics", "localhost:9090", []string{"Origin: null"}, 403},
		{"two origins", "/metrics", "localhost:9090", []string{"Origin: http://localhost:9090", "Origin: http://evil.example"}, 403},
		{"an image of another site", "/debug/pprof/profile?seconds=30", "localhost:9090", []string{browser, "Sec-Fetch-Site: cross-site"}, 403},
		{"another port's image", "/debug/pprof/trace?seconds=30", "localhost:9090", []string{browser, "Sec-Fetch-Site: same-site"}, 403},
		{"an image over plain HTTP", "/debug/pprof/profile?seconds=30", "10.1.2.3:9090", []string{browser}, 403},
		{"explain for an image over plain HTTP", "/explain?ip=192.0.2.1&path=/v2/", "10.1.2.3:9090", []string{browser}, 403},
		{"a proxy's TLS that is not ours", "/metrics", "10.1.2.3:9090", []string{"Origin: https://10.1.2.3:9090"}, 403},
		{"explain for another site", "/explain?ip=192.0.2.1&path=/v2/", "localhost:9090", []string{browser, "Sec-Fetch-Site: cross-site"}, 403},
	} {
		t.Run(test.what, func(t *testing.T) {
			status, text := askPort(t, admin, "GET "+test.path+" HTTP/1.1\r\nHost: "+test.host, append(test.headers, "X: y")...)
			if status != test.want {
				t.Errorf("%d %q, want %d", status, text, test.want)
			}
			if remedy := map[int]string{421: "admin.hosts", 403: "curl"}[status]; !strings.Contains(text, remedy) {
				t.Errorf("%q does not say what to do: %s", text, remedy)
			}
		})
	}
	if status, text := askPort(t, admin, "GET /-/ready HTTP/1.0", "X: y"); status != 200 {
		t.Errorf("a probe of HTTP/1.0 without Host: %d %q", status, text)
	}
	if status, _ := askPort(t, admin, "POST /debug/pprof/profile?seconds=30 HTTP/1.1\r\nHost: localhost", "Content-Length: 0"); status != 405 {
		t.Errorf("a form that starts a profile: %d, want 405", status)
	}
	if n := strings.Count(w.log.String(), "admin port refuses"); n != 1 {
		t.Errorf("%d log lines in a minute, want one", n)
	}
}

// TestSlowScrapers guards against an old fault: one slow reader of /metrics held up all others for two minutes. Each
// address may have some scrapes at once, and no reader waits for another.
func TestSlowScrapers(t *testing.T) {
	w := newWorld(t)
	for i := range 2000 { // more than socket buffers hold
		w.server.metrics.Checks.WithLabelValues(fmt.Sprintf("%d-%s", i, strings.Repeat("x", 8000)), "held").Inc()
	}
	_, admin := w.serve(t)
	slow := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.DialContext(t.Context(), "tcp", admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.(*net.TCPConn).SetReadBuffer(8 << 10); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		var first [9]byte
		if _, err := io.ReadFull(conn, first[:]); err != nil { // the server has begun to write
			t.Fatal(err)
		}
		return conn
	}
	for range scrapesEach {
		slow("127.0.7.7")
	}
	for range scrapesEach - 1 {
		slow("127.0.0.1")
	}
	if status, text := askPort(t, admin, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1", "X: y"); status != 200 || !strings.Contains(text, "ociproxy_ready") {
		t.Errorf("a scrape beside slow ones: %d", status)
	}
	if got := dialFrom(t, "127.0.7.7", admin, "/metrics"); got != 503 {
		t.Errorf("one more of the slow one's: %d, want 503", got)
	}
}

// TestAdminPortListsItsPages: the first page lists the pages of the port, and every listed page exists.
func TestAdminPortListsItsPages(t *testing.T) {
	w := newWorld(t)
	ask := func(method, path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.server.AdminHandler().ServeHTTP(rec, httptest.NewRequest(method, path, http.NoBody))
		return rec
	}
	listed := 0
	for line := range strings.Lines(ask(http.MethodGet, "/").Body.String()) {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[1], "/") {
			if listed++; ask(f[0], f[1]).Code == http.StatusNotFound {
				t.Errorf("%s %s is listed and not there", f[0], f[1])
			}
		}
	}
	if listed != 9 {
		t.Errorf("%d pages are listed", listed)
	}
}
