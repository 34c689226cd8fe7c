package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
)

// flagsOf returns the flags of an instance that follows a publication.
func flagsOf(url string, more ...string) []string {
	return append([]string{
		"--config", url + "/", "--deployment", publicationtest.Deployment, "--ring", "canary",
		"--config-key", key.Format(publicationtest.Root.Public()),
	}, more...)
}

func serveDir(t *testing.T, dir string) string {
	t.Helper()
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestServeAPublication: the server takes a new configuration of its ring, keeps the old one when the new one has faults,
// and says in its metrics which one it uses.
func TestServeAPublication(t *testing.T) {
	dir := t.TempDir()
	site := publicationtest.New(t, dir)
	site.Put(configOf("one.test"), "canary")
	site.Put(configOf("other.test"), "all")
	i := serveWith(t, flagsOf(serveDir(t, dir))...).serving(t)
	if got := i.upstream(t); got != "one.test" {
		t.Errorf("it sends clients to %s", got)
	}
	using := func(text, generation string) func() bool {
		want := `ociproxy_config_info{deployment="` + publicationtest.Deployment + `",generation="` + generation + `",hash="` + publication.Hash([]byte(text)) + `",ring="canary"} 1`
		return func() bool {
			_, _, body := i.ask(t, i.admin, "/metrics")
			return strings.Contains(body, want)
		}
	}
	if !using(configOf("one.test"), "1")() || i.figure(t, "ociproxy_config_publication_ok") != "1" {
		_, _, body := i.ask(t, i.admin, "/metrics")
		t.Error(body)
	}
	site.Put(configOf("two.test"), "canary")
	eventually(t, "generation 3 in use", i.log, using(configOf("two.test"), "3"))
	if got := i.upstream(t); got != "two.test" {
		t.Errorf("it sends clients to %s", got)
	}
	site.Put("version: 1\nnonsense: true\n", "canary")
	eventually(t, "the fault shows", i.log, func() bool { return i.figure(t, "ociproxy_config_publication_ok") == "0" })
	if !using(configOf("two.test"), "3")() || i.status(t, i.public, "/-/ready") != http.StatusOK {
		t.Error("the refused configuration changed something")
	}
	site.Put(configOf("three.test"), "canary")
	eventually(t, "generation 5 in use", i.log, using(configOf("three.test"), "5"))
}
