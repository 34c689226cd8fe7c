package check

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
)

func TestReportText(t *testing.T) {
	r := &Report{Notes: []string{"the read checks were not made"}}
	r.add(
		Finding{"us", "upstream", "ipv4", OK, "answered in 3ms", "", false, false},
		Finding{"us", "upstream", "ipv6", OK, "answered in 3ms", "", false, false},
		Finding{"s3-a", "store", "ipv4", OK, "", "", false, false},
		Finding{"s3-a", "store", "ipv6", Warning, "a.test has no AAAA record", "add one", false, false},
		Finding{"s3-a", "store", "get", Failed, "401: asks for a login", "allow anonymous reads", false, false},
		Finding{"s3-b", "store", "ipv6", Warning, "b.test has no AAAA record", "add one", false, false},
	)
	var b bytes.Buffer
	if err := r.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	want := `TARGET  CHECK     RESULT   DETAIL
us      2 checks  ok       ipv4 ipv6
s3-a    1 check   ok       ipv4
        ipv6      warning  a.test has no AAAA record
        get       error    401: asks for a login
s3-b    ipv6      warning  b.test has no AAAA record
hint: s3-a ipv6, s3-b ipv6: add one
hint: s3-a get: allow anonymous reads
note: the read checks were not made
1 error, 2 warnings
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.Reset()
	if err := r.WriteText(&b, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[31merror\x1b[39m") {
		t.Errorf("no colour in %q", b.String())
	}
}

func TestServing(t *testing.T) {
	cfg, err := config.Parse("t.yaml", []byte(`
version: 1
upstreams:
  - {name: us, url: "https://us.example.test", place: gcp/us-central1, canonical: true}
stores:
  - {name: s3, place: aws/us-east-1, url: "https://s3.example.test/{digest}", serves: [aws]}
  - {name: idle, place: azure/westeurope, url: "https://az.example.test/{digest}", serves: [azure], state: filling}
  - {name: cdn, cdn: cloudfront, url: "https://cdn.example.test/{digest}", serves: [internet]}
  - {name: any, place: aws/eu-west-1, url: "https://any.example.test/{digest}", serves: [all]}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range ServingOf(cfg) {
		got[s.Cloud] = fmt.Sprint(s.Stores, s.Upstreams, s.Internet)
	}
	for cloud, want := range map[string]string{
		"aws":   "[s3 any] [] false",
		"gcp":   "[any] [us] false",
		"azure": "[cdn any] [] true",
		Unknown: "[cdn any] [] true",
	} {
		if got[cloud] != want {
			t.Errorf("%s: %s, want %s", cloud, got[cloud], want)
		}
	}
	var b bytes.Buffer
	if err := WriteServing(&b, ServingOf(cfg)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"gcp ", "1 store (any), 1 upstream (us) in it\n",
		"azure ", "2 stores (cdn, any) (the `internet` stores: no store names the cloud, no upstream is in it); being filled: 1 store (idle)\n",
		"unknown ", "2 stores (cdn, any) (the `internet` stores: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestTLS guards that the report says what is wrong with a certificate, and warns about one that ends soon.
func TestTLS(t *testing.T) {
	tests := []struct {
		name   string
		host   string
		cert   string // name in the certificate
		ends   time.Duration
		trust  bool
		check  string
		result Result
		hint   string
	}{
		{"good", "a.test", "a.test", 90 * 24 * time.Hour, true, "ipv4", OK, ""},
		{"ends soon", "a.test", "a.test", 24 * time.Hour, true, "certificate", Warning, "renew"},
		{"ended", "a.test", "a.test", -time.Hour, true, "ipv4", Failed, "renew"},
		{"other name", "a.test", "b.test", 90 * 24 * time.Hour, true, "ipv4", Failed, "another name"},
		{"unknown authority", "a.test", "a.test", 90 * 24 * time.Hour, false, "ipv4", Failed, "public authority"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			im := newImage()
			cert := certificate(t, tt.cert, tt.ends)
			srv := httptest.NewUnstartedServer(im.store())
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			srv.StartTLS()
			t.Cleanup(srv.Close)
			u, err := url.Parse(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, im.registry())
			pool := x509.NewCertPool()
			if tt.trust {
				pool.AddCert(cert.Leaf)
			}
			w.opts.TLS = &tls.Config{RootCAs: pool}
			s := w.store("s3", im.store())
			w.hosts[tt.host] = w.hosts["s3.test"]
			s.URL = "https://" + tt.host + ":" + u.Port() + "/images/{digest}"
			s.Check = s.URL
			expect(t, w.live(), "s3", tt.check, tt.result, "", tt.hint)
		})
	}
}

func certificate(t *testing.T, name string, ends time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(ends),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
