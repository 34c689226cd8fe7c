package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHTTP2(t *testing.T) {
	dir := t.TempDir()
	certificateFor(t, dir, 1)
	r := start(t, filepath.Join(dir, "config.yaml"), newWorld(t), "limits:", "tls: {cert: "+dir+"/cert.pem, key: "+dir+"/key.pem}\nlimits:")
	poll(t, "serving TLS", func() bool { _, serial := r.overTLS(); return serial == 1 })
	if proto, _ := r.overTLS(); proto != "HTTP/2.0" {
		t.Errorf("%s, want HTTP/2.0", proto)
	}
	certificateFor(t, dir, 2)
	poll(t, "the renewed certificate", func() bool { _, serial := r.overTLS(); return serial == 2 })
}

// overTLS asks the running server. It returns the protocol and the serial number of the certificate; 0: no answer.
func (r *running) overTLS() (proto string, serial int64) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + r.public + "/v2/")
	if err != nil {
		return "", 0
	}
	resp.Body.Close()
	return resp.Proto, resp.TLS.PeerCertificates[0].SerialNumber.Int64()
}

// TestRenewedOneByOne: a program that writes a certificate and its key writes one of them first, in either order, or
// truncates it for a moment. The server uses the pair once it fits. Until then it refuses nothing, so that a renewal
// raises no alert.
func TestRenewedOneByOne(t *testing.T) {
	for _, tt := range []struct{ name, first string }{{"key first", "key.pem"}, {"certificate first", "cert.pem"}} {
		t.Run(tt.name, func(t *testing.T) {
			dir, renewed := t.TempDir(), t.TempDir()
			r := startTLS(t, dir, time.Minute)
			certificateFor(t, renewed, 2)
			move(t, renewed, dir, tt.first)
			poll(t, "it waits for the other file", func() bool { return strings.Contains(r.log.String(), "do not fit yet") })
			if _, serial := r.overTLS(); serial != 1 {
				t.Errorf("certificate %d while half of the new one is there", serial)
			}
			for _, name := range []string{"key.pem", "cert.pem"} {
				if name != tt.first {
					if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil { // as a write in place
						t.Fatal(err)
					}
					move(t, renewed, dir, name)
				}
			}
			poll(t, "the renewed certificate", func() bool { _, serial := r.overTLS(); return serial == 2 })
			if strings.Contains(r.log.String(), "configuration refused") {
				t.Errorf("a renewal was refused:\n%s", r.log.String())
			}
			r.wantReloads(t, "invalid", 0, 1)
		})
	}
}

// TestAPairThatNeverFits: the server refuses such a pair once, when the time limit is over. The gauge shows it until
// the repair.
func TestAPairThatNeverFits(t *testing.T) {
	dir, renewed := t.TempDir(), t.TempDir()
	r := startTLS(t, dir, 50*time.Millisecond)
	certificateFor(t, renewed, 2)
	move(t, renewed, dir, "key.pem")
	poll(t, "the refusal", func() bool { return strings.Contains(r.log.String(), "configuration refused") })
	r.wantReloads(t, "invalid", 1, 0)
	move(t, renewed, dir, "cert.pem")
	poll(t, "the renewed certificate", func() bool { _, serial := r.overTLS(); return serial == 2 })
	poll(t, "the gauge of the last reload", func() bool { return r.metric("ociproxy_config_last_reload_successful 1") })
	r.wantReloads(t, "invalid", 1, 1)
}

// TestASignalDoesNotWait: the sender of a signal has written everything.
func TestASignalDoesNotWait(t *testing.T) {
	dir, renewed := t.TempDir(), t.TempDir()
	r := startTLS(t, dir, time.Hour)
	certificateFor(t, renewed, 2)
	move(t, renewed, dir, "key.pem")
	poll(t, "it waits for the other file", func() bool { return strings.Contains(r.log.String(), "do not fit yet") })
	r.reload <- struct{}{}
	poll(t, "the refusal", func() bool { return strings.Contains(r.log.String(), "configuration refused") })
	r.wantReloads(t, "invalid", 1, 0)
}

func startTLS(t *testing.T, dir string, together time.Duration) *running {
	t.Helper()
	certificateFor(t, dir, 1)
	r := startWith(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t), func(s *Server) { s.together = together },
		"limits:", "tls: {cert: "+dir+"/cert.pem, key: "+dir+"/key.pem}\nlimits:")
	poll(t, "serving TLS", func() bool { _, serial := r.overTLS(); return serial == 1 })
	return r
}

func move(t *testing.T, from, to, name string) {
	t.Helper()
	if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
		t.Fatal(err)
	}
}

// wantReloads compares the counter of a result and the gauge of the last reload.
func (r *running) wantReloads(t *testing.T, result string, n, good int) {
	t.Helper()
	for _, want := range []string{
		fmt.Sprintf("ociproxy_config_reloads_total{result=%q} %d", result, n),
		fmt.Sprintf("ociproxy_config_last_reload_successful %d", good),
	} {
		if !r.metric(want) {
			t.Errorf("no %s", want)
		}
	}
}

// metric reports whether the metrics have a line.
func (r *running) metric(line string) bool {
	rec := httptest.NewRecorder()
	r.server.AdminHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	return strings.Contains(rec.Body.String(), "\n"+line+"\n")
}

func certificateFor(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "registry.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"key.pem": {Type: "EC PRIVATE KEY", Bytes: keyDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
