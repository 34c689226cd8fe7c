package clientconfig

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"ociproxy/test/authority"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// site is what stands behind the proxy: a registry and a store for clients of this machine, both by HTTPS. It has the images
// sample/app:1.0 and sample/app:2.0, without a common blob.
type site struct {
	registry *registry.Registry
	store    *s3.Store
	images   map[string]*image.Image // by tag

	// Two authorities: what the system trusts, and what only the configuration of a client can make it trust.
	public, private *authorities
}

const repository = "sample/app"

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{public: newAuthorities(t), private: newAuthorities(t), images: map[string]*image.Image{}}
	s.store = s3.StartTLS(t, "us-east-1", s.public.Cert, s.public.Key)
	s.registry = registry.StartTLS(t, s.public.Cert, s.public.Key)
	pool := x509.NewCertPool()
	pool.AddCert(s.public.Root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	for i, tag := range []string{"1.0", "2.0"} {
		img := image.New(t, byte(i+1), 10<<10, 100<<10)
		ref, err := name.ParseReference(s.registry.Addr + "/" + repository + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(ref, img.Index, remote.WithContext(t.Context()), remote.WithTransport(transport)); err != nil {
			t.Fatal(err)
		}
		for _, b := range img.Arch["amd64"].Blobs {
			s.store.Put(t, b.Digest, b.Read(t))
		}
		s.images[tag] = img
	}
	return s
}

// start starts a proxy before the site: by HTTPS with a certificate of the authority, or by HTTP without one.
func (s *site) start(t *testing.T, a *authorities) *proxy.Proxy {
	t.Helper()
	config := proxy.Config{
		"location": "aws/us-east-1",
		"ranges":   proxy.Map{"overrides": proxy.List{proxy.Map{"cidr": "127.0.0.0/8", "place": "aws/us-east-1"}}},
		"upstreams": proxy.List{
			proxy.Map{"name": "main", "url": s.registry.URL, "place": "gcp/us-central1", "canonical": true},
		},
		"stores": proxy.List{
			proxy.Map{"name": "s3-use1", "url": s.store.URL, "place": "aws/us-east-1", "serves": proxy.List{"aws"}},
		},
		"limits": proxy.Map{"checkTimeout": "5s"},
	}
	if a != nil {
		config["tls"] = proxy.Map{"cert": a.Cert, "key": a.Key}
	}
	return proxy.Start(t, config, s.public.Trust())
}

// fromStore checks that the client asked the proxy for the manifest of a tag, and got all layers from the store.
func (s *site) fromStore(t *testing.T, p *proxy.Proxy, tag string, since marks) {
	t.Helper()
	parts.Poll(t, 20*time.Second, "a pull through the proxy", func() error {
		manifests := 0
		for _, line := range p.Log(since.proxy) {
			if line["msg"] == "request" && (line["kind"] == "tag" || line["kind"] == "manifest") && line["status"] == float64(307) {
				manifests++
			}
		}
		if manifests == 0 {
			return fmt.Errorf("no manifest was asked of the proxy")
		}
		sent := map[string]int64{}
		for _, a := range s.store.Since(since.store) {
			if a.Operation == "GetObject" && a.Status < 300 && !strings.HasPrefix(a.Agent, "oci-proxy") {
				sent[a.Digest] += a.Bytes
			}
		}
		return s.complete("store", sent, tag)
	})
	// containerd 2 also reads the config of the image for the other architecture, which the store does not have.
	sent := s.sent(since)
	for _, b := range s.images[tag].Arch["amd64"].Blobs {
		if sent[b.Digest] > 0 {
			t.Errorf("the registry sent %s too", b.Digest)
		}
	}
}

// fromRegistry checks that the client got a tag's manifest and its layers from the registry.
func (s *site) fromRegistry(t *testing.T, tag string, since marks) {
	t.Helper()
	parts.Poll(t, 20*time.Second, "a pull past the proxy", func() error { return s.complete("registry", s.sent(since), tag) })
	for _, a := range s.store.Since(since.store) {
		if a.Operation == "GetObject" && !strings.HasPrefix(a.Agent, "oci-proxy") {
			t.Errorf("%s came from the store", a.Digest)
		}
	}
}

func (s *site) complete(who string, sent map[string]int64, tag string) error {
	for _, b := range s.images[tag].Arch["amd64"].Blobs {
		if sent[b.Digest] < b.Size {
			return fmt.Errorf("the %s sent %d bytes of %s, want %d", who, sent[b.Digest], b.Digest, b.Size)
		}
	}
	return nil
}

// sent returns how many bytes of which blob the registry sent to clients.
func (s *site) sent(since marks) map[string]int64 {
	sent := map[string]int64{}
	for _, a := range s.registry.Since(since.registry) {
		path, _, _ := strings.Cut(a.Path, "?")
		if _, digest, ok := strings.Cut(path, "/blobs/"); ok && a.Method == http.MethodGet && a.Status < 300 && !strings.HasPrefix(a.Agent, "oci-proxy") {
			sent[digest] += a.Bytes
		}
	}
	return sent
}

// marks is a moment in all logs.
type marks struct{ proxy, store, registry int }

func (s *site) mark(p *proxy.Proxy) marks {
	return marks{p.Output.Mark(), s.store.Mark(), s.registry.Mark()}
}

// authorities is an authority with a certificate for 127.0.0.1.
type authorities struct {
	*authority.Authority
	authority.Issued
}

func newAuthorities(t *testing.T) *authorities {
	t.Helper()
	a := authority.New(t)
	return &authorities{a, a.Issue(t, time.Hour, "127.0.0.1")}
}

// write writes a file, and its directory if there is none.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
