package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestStartWithoutAGoodPublication: what a new instance does when nothing good is published. It starts on a fallback,
// or on what is stale, or ends with a message that says what to do.
func TestStartWithoutAGoodPublication(t *testing.T) {
	refuses := func(*testing.T) string { return "http://127.0.0.1:1" }
	stale := func(t *testing.T) string {
		dir := t.TempDir()
		site := publicationtest.New(t, dir)
		if err := os.Remove(filepath.Join(dir, publication.KeysName)); err != nil {
			t.Fatal(err)
		}
		site.Now = func() time.Time { return time.Now().Add(-publication.DefaultMaxAge - time.Hour) }
		site.Keys(publicationtest.Config)
		site.Put(configOf("stale.test"), "canary")
		return serveDir(t, dir)
	}
	file := filepath.Join(t.TempDir(), "fallback.yaml")
	put(t, file, configOf("fallback.test"))
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for name, tt := range map[string]struct {
		url  func(*testing.T) string
		more []string
		to   string   // where it sends clients; "": it does not start
		says []string // in its log
	}{
		"refused":                       {refuses, nil, "", []string{"127.0.0.1:1: connect: connection refused", "hint: ", "--config-fallback"}},
		"refused, an empty directory":   {refuses, []string{"--config-fallback", t.TempDir()}, "", []string{"connection refused", "rings/canary/head.json: no such file", "hint: "}},
		"refused, no copy yet":          {refuses, []string{"--last-good", t.TempDir()}, "", []string{"connection refused", "no copy yet", "hint: "}},
		"refused, the fallback is gone": {refuses, []string{"--config-fallback", missing}, "", []string{"none.yaml: no such file", "hint: "}},
		"refused, a fallback":           {refuses, []string{"--config-fallback", file}, "fallback.test", []string{"starts on a fallback"}},
		"stale, a fallback":             {stale, []string{"--config-fallback", file}, "fallback.test", []string{"starts on a fallback"}},
		"stale":                         {stale, nil, "stale.test", []string{"was not signed again for too long", "config refresh"}},
	} {
		t.Run(name, func(t *testing.T) {
			i := serveWith(t, flagsOf(tt.url(t), tt.more...)...)
			if tt.to == "" {
				code := <-i.done
				i.done <- code
				if code != 1 {
					t.Errorf("exit code %d", code)
				}
			} else if got := i.serving(t).upstream(t); got != tt.to {
				t.Errorf("it sends clients to %s, want %s", got, tt.to)
			}
			for _, text := range tt.says {
				if log := i.log.String(); !strings.Contains(log, text) {
					t.Errorf("it does not say %q:\n%s", text, log)
				}
			}
		})
	}
}

// TestCommandsReadAPublication: check and explain read what is published. Explain knows its overrides too.
func TestCommandsReadAPublication(t *testing.T) {
	dir := t.TempDir()
	site := publicationtest.New(t, dir)
	site.Put(configOf("one.test")+`  - {name: eu, url: "https://eu.example.test", place: gcp/europe-west1}`+"\n", "canary")
	site.Off("eu")
	url := serveDir(t, dir)
	for name, args := range map[string][]string{
		"check":   {"check"},
		"explain": {"explain", "--ip", "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, log lines
			if code := run(t.Context(), append(args, flagsOf(url)...), noEnv, nil, &out, &log); code != 0 {
				t.Errorf("exit code %d: %s%s", code, &out, &log)
			}
			if text := out.String(); name == "explain" && (!strings.Contains(text, "off until ") || !strings.Contains(text, "note     eu is off until ")) {
				t.Errorf("no override in %s", text)
			}
			if code := run(t.Context(), append(args, flagsOf("http://127.0.0.1:1")...), noEnv, nil, &out, &log); code != 1 ||
				!strings.Contains(log.String(), "connection refused") || !strings.Contains(log.String(), "hint: ") {
				t.Errorf("exit code %d: %s", code, &log)
			}
		})
	}
}
