package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/wait"
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if wait.Until(ctx, 10*time.Millisecond, f) != nil {
		t.Fatalf("not in time: %s\n%s", what, log)
	}
}

const serveConfig = `version: 1
listen: "127.0.0.1:1"
admin: ""
limits: {drain: 10ms}
upstreams:
  - {name: %s, url: "https://us.example.test", place: gcp/us-central1, canonical: true}
`

// TestHangupWhileLoading guards against a bug: a SIGHUP before the server was serving ended the process. The config
// is a pipe, so the load lasts as long as the test wants. This test must come first: after a server has run in this
// process, SIGHUP stays caught.
func TestHangupWhileLoading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Skip(err)
	}
	log := new(lines)
	done := make(chan int, 1)
	go func() { done <- run(t.Context(), []string{"serve", "--config", file}, noEnv, nil, new(lines), log) }()
	pipe, err := os.OpenFile(file, os.O_WRONLY, 0) // waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	hangup(t)
	if _, err := pipe.WriteString("version: 1\nnonsense: true\n"); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	if code := <-done; code != 3 || !strings.Contains(log.String(), "nonsense") {
		t.Errorf("exit code %d: %s", code, log)
	}
}

// TestServe runs the server as a platform does: the port comes from PORT, SIGHUP reloads the config (first a bad
// file, which changes nothing, then a good one), and a signal ends the server with code 0.
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

	// The port is in use: the error must say what to do.
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
	case <-time.After(time.Minute):
		t.Fatalf("does not end\n%s", log)
	}
}

// TestReloadKeepsFeeds checks that the server keeps a feed when its provider is unreachable during a reload.
func TestReloadKeepsFeeds(t *testing.T) {
	var gone atomic.Bool
	feed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "192.0.2.0/24,aws/us-east-1")
	}))
	defer feed.Close()
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(refresh string) {
		text := fmt.Sprintf(serveConfig, "us") + "ranges: {refresh: " + refresh + ", feeds: [{provider: csv, insecure: true, url: \"" + feed.URL + "\"}]}\n"
		text = strings.NewReplacer(`admin: ""`, `admin: "127.0.0.1:0"`, "127.0.0.1:1", "127.0.0.1:0").Replace(text)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1h")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := new(lines)
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"serve", "--config", file}, noEnv, nil, new(lines), log) }()
	admin := ""
	eventually(t, "serving", log, func() bool {
		if _, after, ok := strings.Cut(log.String(), `"admin":"`); ok {
			admin, _, _ = strings.Cut(after, `"`)
		}
		return admin != ""
	})
	place := func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/explain?ip=192.0.2.7", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var e struct{ Place string }
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			t.Fatal(err)
		}
		return e.Place
	}
	eventually(t, "the feed is read", log, func() bool { return place() == "aws/us-east-1" })
	gone.Store(true)
	write("2h")
	hangup(t)
	eventually(t, "reloaded", log, func() bool { return strings.Contains(log.String(), "configuration reloaded") })
	if got := place(); got != "aws/us-east-1" {
		t.Errorf("after the reload 192.0.2.7 is in %q", got)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func hangup(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
