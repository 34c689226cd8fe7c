package mirror

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
	"ociproxy/test/shop"
	"ociproxy/test/source"
)

// closed is a closed network. Only its proxy knows the names of its hosts, certificates come from its own authority,
// and the proxy asks for a password.
type closed struct {
	authority string // a file
	proxy     string // host:port
	nothing   string // a directory without certificates
	through   atomic.Int64
}

const proxyUser, proxyPassword = "user", "p@ss:word"

func newClosed(t *testing.T, hosts map[string]string) *closed {
	t.Helper()
	c := &closed{authority: filepath.Join(t.TempDir(), "authority.pem"), nothing: t.TempDir()}
	cert := c.issue(t, hosts)
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: hosts[r.In.Host]})
			r.Out.Host = r.In.Host // the host is signed
			r.SetXForwarded()
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	})
	front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.StartTLS()
	t.Cleanup(front.Close)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxyUser+":"+proxyPassword))
	connector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		switch {
		case r.Method != http.MethodConnect || err != nil:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case r.Header.Get("Proxy-Authorization") != want:
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		case hosts[host] == "":
			w.WriteHeader(http.StatusForbidden)
			return
		}
		c.connect(w, r.Context(), front.Listener.Addr().String())
	}))
	t.Cleanup(connector.Close)
	c.proxy = connector.Listener.Addr().String()
	return c
}

// connect copies bytes in both directions.
func (c *closed) connect(w http.ResponseWriter, ctx context.Context, to string) { //nolint:revive // as in handlers
	there, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	c.through.Add(1)
	w.WriteHeader(http.StatusOK)
	here, begun, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	go func() {
		_, _ = io.Copy(there, begun) // the server may have read the first bytes already
		there.Close()
	}()
	_, _ = io.Copy(here, there)
}

// issue makes an authority, and a certificate from it for all hosts.
func (c *closed) issue(t *testing.T, hosts map[string]string) tls.Certificate {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	must(os.WriteFile(c.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for host := range hosts {
		leaf.DNSNames = append(leaf.DNSNames, host)
	}
	raw, err = x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	must(err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// env returns the environment that a program needs in this network.
func (c *closed) env(more ...string) []string {
	u := url.URL{Scheme: "http", User: url.UserPassword(proxyUser, proxyPassword), Host: c.proxy}
	return append([]string{"NO_PROXY=", "HTTPS_PROXY=" + u.String(), "SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=" + c.nothing}, more...)
}

// TestClosedNetwork mirrors and serves where every name leads through a proxy with a password, and a private authority
// issues every certificate. It names the authority in each of the documented ways.
func TestClosedNetwork(t *testing.T) {
	t.Parallel()
	r := registry.Start(t)
	src := source.New(r.Addr, prefix)
	src.Fill(t, source.Shape{Images: 3, Repos: 1, Seed: 1, Smallest: 1 << 10, Largest: 40 << 10})
	bucket := s3.Start(t, "us-east-1")
	c := newClosed(t, map[string]string{"registry.test": r.Addr, "store.test": bucket.Backend()})
	config := proxy.Config{
		"location": "gcp/us-central1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "https://registry.test", "prefix": strings.TrimSuffix(prefix, "/"),
			"place": "gcp/us-central1", "canonical": true}},
		"stores": proxy.List{proxy.Map{"name": "s3", "place": "aws/us-east-1", "url": "https://store.test/blobs/containers/images/{digest}",
			"serves": proxy.List{"aws"}, "inventory": proxy.Map{"url": "https://store.test/blobs/inventory/", "refresh": "1s"},
			"bucket": "s3://blobs?region=us-east-1&pathStyle=true&endpoint=https://store.test"}},
		"mirror": proxy.Map{"source": "us", "repositories": proxy.Map{"include": proxy.List{"/.*/"}}, "spool": proxy.Map{"dir": t.TempDir()}},
	}.Defaults(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	config.Write(t, file)
	dir := filepath.Dir(c.authority)
	wrong := "HTTPS_PROXY=http://user:wrong@" + c.proxy
	for name, tt := range map[string]struct {
		env  []string
		want []string // parts of the error text; nil: the mirror succeeds
	}{
		"SSL_CERT_FILE":    {c.env("SSL_CERT_FILE=" + c.authority), nil},
		"SSL_CERT_DIR":     {c.env("SSL_CERT_DIR=" + dir), nil},
		"AWS_CA_BUNDLE":    {c.env("AWS_CA_BUNDLE=" + c.authority), nil},
		"no authority":     {c.env(), []string{"s3://blobs", "unknown authority", "SSL_CERT_FILE: /dev/null has no certificate"}},
		"a wrong password": {c.env("AWS_CA_BUNDLE="+c.authority, wrong), []string{"s3://blobs", "407", "HTTPS_PROXY"}},
		"no such file":     {c.env("AWS_CA_BUNDLE=" + filepath.Join(dir, "nowhere")), []string{"AWS_CA_BUNDLE", "no such file"}},
		"a bad proxy":      {c.env("AWS_CA_BUNDLE="+c.authority, "HTTPS_PROXY=http://user:p#ss@"+c.proxy), []string{"HTTPS_PROXY", "%XX"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := append(append([]string{}, shop.Environment...), tt.env...)
			ran := ctl.Run(t, ctl.Limit, env, "mirror", "--config", file, "--once", "--output", "json")
			if (ran.Code == 0) != (tt.want == nil) {
				t.Fatalf("mirror: %v", ran)
			}
			text := ran.Stdout + ran.Stderr
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("want %q in %v", want, ran)
				}
			}
			for _, secret := range []string{"wrong", "p#ss", proxyPassword, url.QueryEscape(proxyPassword)} {
				if strings.Contains(text, secret) {
					t.Errorf("a password in %v", ran)
				}
			}
			if tt.want != nil {
				return
			}
			if ended := ctl.Run(t, ctl.Limit, env, "audit", "--config", file, "--deep", "--output", "json"); ended.Code != 0 {
				t.Errorf("audit: %v", ended)
			}
			before := c.through.Load()
			p := proxy.Start(t, config, tt.env...)
			parts.Poll(t, time.Minute, "the server reads the inventory", func() error {
				if p.Metric(t, "ociproxy_inventory_held_digests") == 0 {
					return errors.New("it holds nothing")
				}
				return nil
			})
			if c.through.Load() == before {
				t.Error("the server asks by another way than the proxy")
			}
		})
	}
}
