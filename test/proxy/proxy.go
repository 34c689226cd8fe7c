// Package proxy builds and runs the oci-proxy binary.
//
// It knows the command line, the form of the config file and the admin port. It must not know how the program works
// inside: a test learns only what an operator could learn.
package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"ociproxy/test/parts"
)

// Config is the content of a config file. It is plain maps, so that the tests state the file's form independently.
type Config map[string]any

// Map and List keep configs in tests short.
type (
	Map  = map[string]any
	List = []any
)

// Proxy is a running oci-proxy.
type Proxy struct {
	Addr  string // host:port for clients
	Admin string // host:port for operators
	File  string // its config file

	*parts.Process
}

// Binary returns the path of the built program. $OCIPROXY_BINARY names one that was built before (for a release, or
// with coverage).
func Binary(t testing.TB) string {
	t.Helper()
	return parts.Build(t, "oci-proxy", "OCIPROXY_BINARY")
}

// Write writes a config file. It replaces an existing file by renaming.
func (c Config) Write(t testing.TB, file string) {
	t.Helper()
	data, err := yaml.Marshal(map[string]any(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// With returns a copy of c with the keys of more set.
func (c Config) With(more Map) Config {
	out := Config{}
	for _, from := range []map[string]any{c, more} {
		for key, value := range from {
			out[key] = value
		}
	}
	return out
}

// Start starts the program with the config and waits until it is ready. It fills in the keys version, listen and admin
// if they are absent.
func Start(t testing.TB, c Config, env ...string) *Proxy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "oci-proxy.yaml")
	c = c.Defaults(t)
	c.Write(t, file)
	return StartFile(t, file, c, env...)
}

// Defaults fills in version, listen and admin.
func (c Config) Defaults(t testing.TB) Config {
	t.Helper()
	out := Config{"version": 1, "listen": parts.FreeAddr(t), "admin": parts.FreeAddr(t)}
	return out.With(Map(c))
}

// StartFile starts the program with a file that was written from c.
func StartFile(t testing.TB, file string, c Config, env ...string) *Proxy {
	t.Helper()
	return StartProgram(t, Binary(t), file, c, env...)
}

// StartProgram is StartFile for another build of the program.
func StartProgram(t testing.TB, program, file string, c Config, env ...string) *Proxy {
	t.Helper()
	p := &Proxy{Addr: c["listen"].(string), Admin: c["admin"].(string), File: file}
	ready := parts.HTTP("http://"+p.Addr+"/-/ready", http.StatusOK)
	if c["tls"] != nil || strings.Contains(fmt.Sprint(c["client"]), "proxyProtocol") {
		// This public port does not answer a plain request.
		ready = func() error {
			if err := parts.HTTP("http://"+p.Admin+"/metrics", http.StatusOK)(); err != nil {
				return err
			}
			return parts.Dial("tcp", p.Addr)()
		}
	}
	p.Process = parts.Start(t, parts.Spec{
		Path: program, Args: []string{"serve", "--config", file}, Env: env, Ready: ready, Abrupt: true,
	})
	return p
}

// Inherit starts the program on a file that was written from c, with listening sockets of this process. names are the
// names that systemd would give them, such as "clients:admin". Inherit waits until the program is ready.
func Inherit(t testing.TB, file string, c Config, names string, sockets []*os.File, env ...string) *Proxy {
	t.Helper()
	p := &Proxy{Addr: c["listen"].(string), Admin: c["admin"].(string), File: file}
	p.Process = parts.Start(t, parts.Spec{
		// LISTEN_PID must be the number of the process, and exec keeps that number.
		Path: "/bin/sh", Args: []string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, Binary(t), "serve", "--config", file},
		Env:   append(env, fmt.Sprintf("LISTEN_FDS=%d", len(sockets)), "LISTEN_FDNAMES="+names),
		Files: sockets, Ready: parts.HTTP("http://"+p.Admin+"/-/ready", http.StatusOK), Abrupt: true,
	})
	return p
}

// URL returns the URL of a path for clients.
func (p *Proxy) URL(path string) string { return "http://" + p.Addr + path }

// Log returns the log lines after the mark that are JSON.
func (p *Proxy) Log(mark int) []Map {
	var list []Map
	for _, line := range p.Output.Since(mark) {
		var entry Map
		if json.Unmarshal([]byte(line), &entry) == nil {
			list = append(list, entry)
		}
	}
	return list
}

// Metric returns the sum of all series of a metric whose labels include all the given ones (`kind="blob"`).
func (p *Proxy) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + p.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
lines:
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			t.Fatalf("metric line %q: %v", line, err)
		}
		sum += value
	}
	return sum
}
