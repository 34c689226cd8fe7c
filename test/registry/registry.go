// Package registry runs CNCF distribution on loopback. The registry plays an upstream.
//
// It knows distribution's configuration, its storage layout (to lose a blob on purpose) and its access log. It must not
// know the proxy.
package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Registry is a running registry.
type Registry struct {
	Addr string // host:port
	URL  string // http://host:port, or https://

	process *parts.Process
	root    string
}

// Start starts an empty registry.
func Start(t testing.TB) *Registry {
	t.Helper()
	return start(t, options{status: 200})
}

// StartTLS starts an empty registry that speaks HTTPS with a certificate and its key, both files.
func StartTLS(t testing.TB, cert, key string) *Registry {
	t.Helper()
	return start(t, options{tls: fmt.Sprintf(", tls: {certificate: %q, key: %q}", cert, key)})
}

// The login of a private registry, and its line in an htpasswd file.
const (
	User, Password = "pusher", "secret"

	htpasswd = User + ":$2a$04$OpnR6bmCSfNjDj80AC9H6uzBGuEoVGWoN.8yetK2bKHXfhYGDNuoe\n"
)

// StartPrivate starts an empty registry that asks for a login by HTTP's basic authentication.
func StartPrivate(t testing.TB) *Registry {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(file, []byte(htpasswd), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, options{more: fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}\n", file), status: 401})
}

type options struct {
	more   string // lines of the config
	tls    string // key of the config's http
	status int    // of the answer to a client without a login
}

func start(t testing.TB, o options) *Registry {
	t.Helper()
	addr, root := parts.FreeAddr(t), t.TempDir()
	// By default a page has at most 100 tags. A limit of 50 makes clients follow links.
	config := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}, tag: {concurrencylimit: 4}}
http: {addr: %q, secret: for-tests%s}
tags: {maxtags: 50}
`, root, addr, o.tls) + o.more
	file := filepath.Join(t.TempDir(), "registry.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Registry{Addr: addr, URL: "http://" + addr, root: root}
	ready := parts.HTTP(r.URL+"/v2/", o.status)
	if o.tls != "" {
		r.URL = "https://" + addr
		ready = parts.Dial("tcp", addr) // a plain request would not tell
	}
	r.process = parts.Start(t, parts.Spec{Path: parts.Find(t, "registry"), Args: []string{"serve", file}, Ready: ready})
	return r
}

// Stop kills the registry. Nothing answers at its address any more.
func (r *Registry) Stop(t testing.TB) {
	t.Helper()
	r.process.Signal(t, os.Kill)
	r.process.Wait(t, 10*time.Second)
}

// Access is one line of the access log.
type Access struct {
	Method string
	Path   string // with query
	Status int
	Bytes  int64 // of the body sent
	Agent  string
}

var accessLine = regexp.MustCompile(`^\S+ - - \[[^]]+\] "(\S+) (\S+) [^"]*" (\d+) (\d+) "[^"]*" "([^"]*)"`)

// Mark returns the current end of the access log, for Since.
func (r *Registry) Mark() int { return r.process.Output.Mark() }

// Since returns the requests answered after the mark.
func (r *Registry) Since(mark int) []Access {
	var list []Access
	for _, line := range r.process.Output.Since(mark) {
		m := accessLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		status, _ := strconv.Atoi(m[3])
		sent, _ := strconv.ParseInt(m[4], 10, 64)
		list = append(list, Access{Method: m[1], Path: m[2], Status: status, Bytes: sent, Agent: m[5]})
	}
	return list
}

// Lose removes a blob from the registry's disk, which makes an incomplete replica.
func (r *Registry) Lose(t testing.TB, repository, digest string) {
	t.Helper()
	algorithm, hex, _ := strings.Cut(digest, ":")
	base := filepath.Join(r.root, "docker", "registry", "v2")
	for _, dir := range []string{
		filepath.Join(base, "blobs", algorithm, hex[:2], hex),
		filepath.Join(base, "repositories", repository, "_layers", algorithm, hex),
	} {
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("lose %s of %s: %v", digest, repository, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// LoseManifest removes the bytes of a manifest from the registry's disk. Tags still name it.
func (r *Registry) LoseManifest(t testing.TB, digest string) {
	t.Helper()
	algorithm, hex, _ := strings.Cut(digest, ":")
	dir := filepath.Join(r.root, "docker", "registry", "v2", "blobs", algorithm, hex[:2], hex)
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("lose %s: %v", digest, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}
