package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"ociproxy/internal/key"
	"ociproxy/internal/publication/publicationtest"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/s3"
)

// TestPublication: instances follow a publication in a bucket that strangers may read and not list: each its ring, within
// 30 seconds, without a restart. A faulty, tampered or missing publication changes nothing. An instance starts without
// the bucket.
func TestPublication(t *testing.T) {
	store := s3.Start(t, "us-east-1")
	site := publicationtest.Open(t, "s3://blobs/config?region=us-east-1&pathStyle=true&endpoint=http://"+store.Backend(), func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}[name]
	})
	text := func(c proxy.Config, home string) string {
		out, err := yaml.Marshal(map[string]any(c.With(proxy.Map{"pages": proxy.Map{"home": home}})))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	canary, all := lone("").Defaults(t), lone("").Defaults(t)
	site.Put(text(canary, "https://example.org/1"), "canary")
	site.Put(text(all, "https://example.org/1"), "all")
	url := "http://" + store.Addr + "/blobs/config/"
	disk := t.TempDir()
	env := func(ring string) []string {
		return []string{
			"OCI_PROXY_DEPLOYMENT=" + publicationtest.Deployment, "OCI_PROXY_RING=" + ring,
			"OCI_PROXY_CONFIG_KEYS=" + key.Format(publicationtest.Root.Public()), "OCI_PROXY_LAST_GOOD=" + filepath.Join(disk, ring),
		}
	}
	a, b := proxy.StartFile(t, url, canary, env("canary")...), proxy.StartFile(t, url, all, env("all")...)
	for _, p := range []*proxy.Proxy{a, b} {
		waitHome(t, p, "https://example.org/1")
		if p.Metric(t, "ociproxy_config_publication_ok") != 1 { // also without overrides.json, which S3 answers with 403
			t.Errorf("%v", p.Log(0))
		}
	}

	published := time.Now()
	site.Put(text(canary, "https://example.org/2"), "canary")
	parts.Poll(t, time.Minute, "generation 3 in use", func() error { // 15 s, and more on a busy machine
		if got, err := home(a); got != "https://example.org/2" {
			return fmt.Errorf("/ leads to %s: %w", got, err)
		}
		return nil
	})
	t.Logf("in use after %s", time.Since(published).Round(time.Millisecond))
	waitHome(t, b, "https://example.org/1")
	if a.Metric(t, "ociproxy_config_info", `generation="3"`, `ring="canary"`, `deployment="prod"`) != 1 {
		t.Error("the metric does not say generation 3")
	}

	site.Put("version: 1\nnonsense: true\n", "canary")
	refused := func() error {
		if n := a.Metric(t, "ociproxy_config_publication_refused_total", `document="content"`, `fault="refused"`); n == 0 {
			return fmt.Errorf("refused %v times", n)
		}
		return nil
	}
	a.Signal(t, syscall.SIGHUP) // asks at once
	eventually(t, "the fault is counted", refused)
	waitHome(t, a, "https://example.org/2")

	// Somebody cuts the head in the bucket.
	file := store.File("blobs", "config/rings/all/head.json")
	head, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, head[:len(head)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	// A restart without the right head uses what the disk has.
	b.Signal(t, syscall.SIGTERM)
	if code := b.Wait(t, time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b = proxy.StartFile(t, url, all, env("all")...)
	waitHome(t, b, "https://example.org/1")
	if b.Metric(t, "ociproxy_config_publication_ok") != 0 || b.Metric(t, "ociproxy_config_info", `generation="2"`, `ring="all"`) != 1 {
		t.Error("the metrics do not say that it runs on its copy")
	}
	if err := parts.HTTP(b.URL("/-/ready"), http.StatusOK)(); err != nil {
		t.Error(err)
	}
}
