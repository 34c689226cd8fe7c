package gates

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"ociproxy/internal/key"
	"ociproxy/internal/publication/publicationtest"
	front "ociproxy/test/gate"
	"ociproxy/test/image"
	"ociproxy/test/prometheus"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// world is two instances that follow a publication: one of the ring canary, one of the ring all. Each has ports of its
// own in its config, so the rings have different ones.
type world struct {
	site        *publicationtest.Site
	store       *s3.Store
	bucket      *s3.Store   // with the publication
	url         string      // of the publication
	before      *front.Gate // between clients and the store
	image       *image.Image
	canary, all *proxy.Proxy
	config      proxy.Config // of the ring all
	prometheus  *prometheus.Server
	dir         string
	clients     atomic.Int64
}

var credentials = map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{store: s3.Start(t, "us-east-1"), image: image.New(t, 1, 10<<10), dir: t.TempDir()}
	up, bucket := registry.Start(t), s3.Start(t, "us-east-1")
	w.bucket = bucket
	w.before = front.New(t, w.store.Addr)
	w.image.Push(t, up.Addr, "app", "1.0")
	for _, b := range w.image.Arch["amd64"].Blobs {
		w.store.Put(t, b.Digest, b.Read(t))
	}
	w.url = "s3://blobs/config?region=us-east-1&pathStyle=true&endpoint=http://" + bucket.Backend()
	w.site = publicationtest.Open(t, w.url, func(name string) string { return credentials[name] })
	config := proxy.Config{
		"location": "aws/us-east-1",
		"client":   proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"ranges":   proxy.Map{"overrides": proxy.List{proxy.Map{"cidr": "11.0.0.0/8", "place": "aws/us-east-1"}}},
		"upstreams": proxy.List{
			proxy.Map{"name": "up", "url": up.URL, "place": "gcp/us-central1", "canonical": true, "insecure": true},
		},
		"stores": proxy.List{
			proxy.Map{"name": "s3", "place": "aws/us-east-1", "url": strings.Replace(w.store.URL, w.store.Addr, w.before.Addr, 1), "serves": proxy.List{"aws"}, "insecure": true},
		},
		"limits": proxy.Map{"checkTimeout": "5s"},
	}
	canary := config.Defaults(t)
	w.config = config.Defaults(t)
	w.site.Put(text(t, canary), "canary")
	w.site.Put(text(t, w.config), "all")
	serve := func(ring string, c proxy.Config) *proxy.Proxy {
		return proxy.StartFile(t, "http://"+bucket.Addr+"/blobs/config/", c,
			"OCI_PROXY_DEPLOYMENT="+publicationtest.Deployment, "OCI_PROXY_RING="+ring,
			"OCI_PROXY_CONFIG_KEYS="+key.Format(publicationtest.Root.Public()), "OCI_PROXY_LAST_GOOD="+filepath.Join(w.dir, ring))
	}
	w.canary, w.all = serve("canary", canary), serve("all", w.config)
	w.prometheus = prometheus.Start(t, time.Second, prometheus.Target{Addr: w.canary.Admin}, prometheus.Target{Addr: w.all.Admin})
	w.prometheus.Wait(t, time.Minute, "count(ociproxy_config_info) == 2")
	return w
}

func text(t *testing.T, c proxy.Config) string {
	t.Helper()
	out, err := yaml.Marshal(map[string]any(c))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// pull asks both instances for a blob and its manifest, as clients that never asked before, until stop.
func (w *world) pull(t *testing.T) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			n := w.clients.Add(1)
			for _, p := range []*proxy.Proxy{w.canary, w.all} {
				for _, path := range []string{"/v2/app/manifests/1.0", "/v2/app/blobs/" + w.image.Arch["amd64"].Blobs[0].Digest} {
					req, err := http.NewRequest(http.MethodGet, p.URL(path), nil)
					if err != nil {
						t.Error(err)
						return
					}
					req.Header.Set("X-Forwarded-For", fmt.Sprintf("11.%d.%d.9", n>>8%256, n%256)) // who asks twice retries
					if resp, err := client.Do(req); err == nil {                                  // the gates see faults
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// follow lets an instance look for a publication at once, again and again, until stop.
func (w *world) follow(t *testing.T) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				w.all.Signal(t, syscall.SIGHUP)
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// keyFile writes the config key of the publication into a file.
func (w *world) keyFile(t *testing.T) string {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("c", ed25519.SeedSize)))
	if !private.Public().(ed25519.PublicKey).Equal(publicationtest.Config.Public()) {
		t.Fatal("the config key of publicationtest is another one")
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return w.file(t, "config.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// file writes a file into the world's directory.
func (w *world) file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
