package test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// manager receives the messages that a service sends.
type manager struct {
	*net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(parts.ShortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{conn, path}
}

// next waits for the next message. It checks the first line and one word of the status.
func (m *manager) next(t *testing.T, first, status string) string {
	t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := m.Read(buf)
	if err != nil {
		t.Fatalf("no %s: %v", first, err)
	}
	message := string(buf[:n])
	line, rest, _ := strings.Cut(message, "\n")
	if line != first || !strings.Contains(rest, "STATUS=") || !strings.Contains(rest, status) {
		t.Fatalf("%q, want %s and %q", message, first, status)
	}
	return message
}

// uptime returns the monotonic clock of the kernel, in microseconds.
func uptime(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skip(err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(seconds * 1e6)
}

// TestNotify: the service manager learns when the server is ready, reloads and stops, as Type=notify-reload wants it.
// The time of a reload is after that of the signal. Every reload has an end, also that of a bad config.
func TestNotify(t *testing.T) {
	m := newManager(t)
	config := lone("https://example.org/1").Defaults(t).With(proxy.Map{"limits": proxy.Map{"drain": "0s"}})
	p := proxy.Start(t, config, "NOTIFY_SOCKET="+m.path)
	m.next(t, "READY=1", "serving, config ")
	if err := parts.HTTP(p.URL("/-/ready"), http.StatusOK)(); err != nil {
		t.Error(err)
	}

	reload := func(status string) {
		t.Helper()
		sent := uptime(t)
		p.Signal(t, syscall.SIGHUP)
		message := m.next(t, "RELOADING=1", "reading the config")
		found := regexp.MustCompile(`(?m)^MONOTONIC_USEC=(\d+)$`).FindStringSubmatch(message)
		if found == nil {
			t.Fatalf("no time in %q", message)
		}
		at, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		// /proc/uptime counts in hundredths of a second.
		if now := uptime(t) + 20_000; at < sent-20_000 || at > now {
			t.Errorf("the reload was at %d, between %d and %d", at, sent, now)
		}
		m.next(t, "READY=1", status)
	}
	reload("serving, config ")
	if err := os.Remove(p.File); err != nil {
		t.Fatal(err)
	}
	m.next(t, "RELOADING=1", "reading the config") // without a signal: the server watches the file
	m.next(t, "READY=1", "is refused: see the log")
	reload("is refused: see the log")
	config.Write(t, p.File)
	m.next(t, "RELOADING=1", "reading the config")
	m.next(t, "READY=1", "serving, config ")

	p.Signal(t, syscall.SIGTERM)
	m.next(t, "STOPPING=1", "draining")
	if code := p.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestNotifyOfAFallback: the status line says that the server does not use its config.
func TestNotifyOfAFallback(t *testing.T) {
	m := newManager(t)
	config := lone("https://example.org/1").Defaults(t)
	dir := t.TempDir()
	previous, file := filepath.Join(dir, "previous.yaml"), filepath.Join(dir, "config.yaml")
	config.Write(t, previous)
	config.With(proxy.Map{"nonsense": 1}).Write(t, file)
	p := proxy.StartFile(t, file, config, "NOTIFY_SOCKET="+m.path, "OCI_PROXY_FALLBACK="+previous)
	if !p.Running() {
		t.Fatal("it ended")
	}
	for {
		if err := m.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := m.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(buf[:n]); strings.HasPrefix(text, "READY=1\n") {
			if !strings.Contains(text, "STATUS=serving on the fallback "+previous) {
				t.Errorf("%q", text)
			}
			return
		}
	}
}
