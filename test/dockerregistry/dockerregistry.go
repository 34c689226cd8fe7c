// Package dockerregistry runs Docker's registry 2.8 on loopback, the last version that knows schema 1 manifests.
//
// It knows the program's configuration, and how to get a signed schema 1 manifest from it: the registry makes one from
// a schema 2 image for clients that know nothing newer. It must not know our own client.
package dockerregistry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"ociproxy/test/parts"
)

// MediaType is the media type of signed schema 1 manifests.
const MediaType = "application/vnd.docker.distribution.manifest.v1+prettyjws"

// Registry is a running registry.
type Registry struct {
	Addr string // host:port
	URL  string // http://host:port
}

// User and Password are the credentials of a private registry.
const (
	User     = "robot"
	Password = "secret"

	hash = "$2a$04$1.g2dyXgl50zdYbtuTKrKe0PPrIkTtGhDC/7uKO2Wq7VaL5YhIHo." // bcrypt, at the lowest cost
)

// Start starts an empty registry that accepts and makes schema 1.
func Start(t testing.TB) *Registry {
	t.Helper()
	return start(t, "", http.StatusOK)
}

// StartPrivate starts a registry like Start, but with basic authentication: only [User] may use it.
func StartPrivate(t testing.TB) *Registry {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(file, []byte(User+":"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, fmt.Sprintf("auth: {htpasswd: {realm: tests, path: %q}}\n", file), http.StatusUnauthorized)
}

// start starts a registry with more configuration. The registry answers anonymous clients with status.
func start(t testing.TB, more string, status int) *Registry {
	t.Helper()
	addr := parts.FreeAddr(t)
	config := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
compatibility: {schema1: {enabled: true}}
http: {addr: %q, secret: for-tests}
%s`, t.TempDir(), addr, more)
	file := filepath.Join(t.TempDir(), "registry.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Registry{Addr: addr, URL: "http://" + addr}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "docker-registry"), Args: []string{"serve", file},
		Ready: parts.HTTP(r.URL+"/v2/", status),
	})
	return r
}

// Degrade makes the registry convert the schema 2 image repository:from to a signed schema 1 manifest, stores that as
// repository:to, and returns the digest of its payload. The registry signs the manifest again at each read.
func (r *Registry) Degrade(t testing.TB, repository, from, to string) (digest string) {
	t.Helper()
	base := r.URL + "/v2/" + repository + "/manifests/"
	manifest, _ := r.exchange(t, http.MethodGet, base+from, nil, http.StatusOK)
	_, header := r.exchange(t, http.MethodPut, base+to, manifest, http.StatusCreated)
	return header.Get("Docker-Content-Digest")
}

func (r *Registry) exchange(t testing.TB, method, url string, body []byte, status int) ([]byte, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", MediaType)
	if body != nil {
		req.Header.Set("Content-Type", MediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %s %s", method, url, resp.Status, answer)
	}
	return answer, resp.Header
}
