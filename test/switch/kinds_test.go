package switch_test

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/store"
	"ociproxy/test/azure"
	"ociproxy/test/ctl"
	"ociproxy/test/gcs"
	"ociproxy/test/s3"
)

// bucket is a kind of bucket: its URL for the tool, the environment that the tool needs, and the URL at which instances
// read it; "" for a directory, which any web server can serve.
type bucket struct {
	url    string
	env    []string
	public string
}

// kinds starts each kind of bucket.
var kinds = map[string]func(*testing.T) bucket{
	"s3": func(t *testing.T) bucket {
		s := s3.Start(t, "us-east-1")
		return bucket{
			"s3://blobs/config?region=us-east-1&pathStyle=true&endpoint=http://" + s.Backend(),
			[]string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret"}, "http://" + s.Addr + "/blobs/config/",
		}
	},
	"gcs": func(t *testing.T) bucket {
		s := gcs.Start(t, "us-central1")
		return bucket{strings.Replace(s.BucketURL(gcs.Bucket), "?", "/config?", 1), nil, s.URL + "/" + gcs.Bucket + "/config/"}
	},
	"azure": func(t *testing.T) bucket {
		s := azure.Start(t)
		return bucket{
			strings.Replace(s.BucketURL(azure.Container), "?", "/config?", 1),
			[]string{"AZURE_STORAGE_KEY=" + azure.Key}, s.URL + "/" + azure.Container + "/config/",
		}
	},
	"directory": func(t *testing.T) bucket { return bucket{url: t.TempDir()} },
}

// TestBuckets: publish, compare, roll back, switch and sign again on each kind of bucket. Of two publications at the
// same time one is refused. Instances may read what is written, and no cache keeps a head.
func TestBuckets(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			w := newKeys(t)
			w.env = append(b.env, "OCI_PROXY_PUBLICATION="+b.url, "OCI_PROXY_DEPLOYMENT=prod", "OCI_PROXY_CONFIG_KEYS="+w.public["root"])
			w.firstKeys(t)
			one, two := w.write(t, "a.yaml", 1), w.write(t, "b.yaml", 2)
			bad := w.file("bad.yaml")
			if err := os.WriteFile(bad, []byte("version: 1\nnonsense: 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			publish := func(code int, file string, more ...string) {
				t.Helper()
				w.run(t, code, append([]string{"config", "publish", file, "--ring", "canary,all", "--why", "test", "--key", w.file("ci.key")}, more...)...)
			}
			publish(3, bad)
			publish(0, one, "--dry-run")
			if s := w.rings(t); len(s) != 0 {
				t.Errorf("a dry run has written: %v", s)
			}
			publish(0, one)
			publish(0, two)
			w.run(t, 0, "store", "off", "s1", "--key", w.file("oncall.key"), "--why", "test")
			w.run(t, 0, "config", "rollback", "--key", w.file("ci.key"), "--why", "test")
			w.run(t, 0, "config", "diff", one, "--ring", "all")
			w.run(t, 0, "config", "refresh", "--key", w.file("ci.key"), "--override-key-file", w.file("oncall.key"), "--root-key-file", w.file("root.key"))
			if s := w.rings(t); s["canary"] != 3 || s["all"] != 3 {
				t.Errorf("want generation 3 in both rings: %v", s)
			}
			w.race(t, b, one, two)
			if log := w.run(t, 0, "config", "log", "-o", "json").Stdout; strings.Count(log, "\n") < 5 {
				t.Error(log)
			}
			if b.public == "" {
				return
			}
			for name, want := range map[string]string{publication.HeadName("all"): "no-store", publication.KeysName: "no-store", publication.OverridesName: "no-store"} {
				resp, err := (&http.Client{Timeout: time.Minute}).Get(b.public + name)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if got := resp.Header.Get("Cache-Control"); resp.StatusCode != http.StatusOK || !strings.Contains(got, want) || resp.Header.Get("ETag") == "" {
					t.Errorf("%s: %s, Cache-Control %q, ETag %q", name, resp.Status, got, resp.Header.Get("ETag"))
				}
			}
		})
	}
}

// rings returns the generations that are published.
func (w *world) rings(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	r := ctl.Run(t, ctl.Limit, w.env, "config", "status", "-o", "json") // 4 while nothing is published
	for _, one := range ctl.Decode[struct {
		Rings []struct {
			Ring       string
			Generation int
		}
	}](t, r.Stdout).Rings {
		out[one.Ring] = one.Generation
	}
	return out
}

// site opens the publication without the command, and returns the config key.
func (w *world) site(t *testing.T, b bucket) (*publish.Site, envelope.Signer) {
	t.Helper()
	url := b.url
	if !strings.Contains(url, "://") {
		url = "file://" + url
	}
	bucket, err := store.Open(t.Context(), url, store.Options{Getenv: func(name string) string {
		for _, one := range b.env {
			if value, ok := strings.CutPrefix(one, name+"="); ok {
				return value
			}
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	root, err := key.Parse(w.public["root"])
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.Read(w.file("ci.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &publish.Site{Bucket: bucket, Trust: &publication.Trust{Deployment: "prod", Roots: []ed25519.PublicKey{root}, MaxAge: -1}}, envelope.Key(private)
}

// race publishes two configs with one state of the bucket: the second must be refused, and write nothing.
func (w *world) race(t *testing.T, b bucket, one, two string) {
	t.Helper()
	site, signer := w.site(t, b)
	first, err := site.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := site.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		state *publish.State
		file  string
	}{{first, two}, {second, one}} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = site.Publish(t.Context(), c.state, signer, publish.Change{Rings: []string{"all", "canary"}, Content: text, By: "test", Why: "race"})
		if refused := errors.Is(err, publish.ErrChanged); refused != (i == 1) || !refused && err != nil {
			t.Fatalf("publication %d: %v", i+1, err)
		}
	}
	w.run(t, 0, "config", "diff", two, "--ring", "all")
	w.run(t, 0, "config", "diff", two, "--ring", "canary")
}
