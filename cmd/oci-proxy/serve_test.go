package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually polls until f is true.
func eventually(t *testing.T, what string, log fmt.Stringer, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if f() {
			return
		}
	}
	t.Fatalf("not in time: %s\n%s", what, log)
}

const serveConfig = `version: 1
listen: "127.0.0.1:1"
admin: ""
limits: {drain: 10ms}
upstreams:
  - {name: %s, url: "https://us.example.test", place: gcp/us-central1, canonical: true}
`

// TestServe runs the server as a platform does: port by PORT, a reload by SIGHUP (first to a bad file, which
// changes nothing, then to a good one), and an end by a signal with code 0.
func TestServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf(serveConfig, "before"))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	env := func(key string) string { return map[string]string{"PORT": port, "OCI_PROXY_CONFIG": file}[key] }

	// The port is taken: the error says what to do.
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"serve"}, env, nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "hint: stop the other process") {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	free.Close()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := new(lines)
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"serve", "--log-level", "debug"}, env, nil, new(lines), log) }()
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0, ""
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Location")
	}
	eventually(t, "ready", log, func() bool { code, _ := get("/-/ready"); return code == 200 })
	if code, to := get("/v2/app/manifests/1"); code != 307 || !strings.HasPrefix(to, "https://us.example.test/v2/app/") {
		t.Errorf("%d %q", code, to)
	}

	write("version: 1\nnonsense: true\n")
	hangup(t)
	eventually(t, "the bad file is reported", log, func() bool { return strings.Contains(log.String(), "nonsense") })
	if code, _ := get("/v2/app/manifests/1"); code != 307 {
		t.Errorf("after a bad reload: %d", code)
	}
	write(strings.ReplaceAll(fmt.Sprintf(serveConfig, "after"), "us.example", "eu.example"))
	hangup(t)
	eventually(t, "the good file is used", log, func() bool {
		_, to := get("/v2/app/manifests/1")
		return strings.HasPrefix(to, "https://eu.example.test/")
	})

	stop()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("does not end\n%s", log)
	}
}

func hangup(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
