package test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TLS with HTTP/2, and a certificate that is renewed while the server runs.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	pool := issue(t, cert, key, 1)
	p := proxy.Start(t, lone("https://example.org/").With(proxy.Map{"tls": proxy.Map{"cert": cert, "key": key}}))

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp := doWith(t, noRedirect(transport), http.MethodGet, "https://"+p.Addr+"/v2/", nil)
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s, want 200 by HTTP/2", resp.Proto, resp.Status)
	}
	for name, config := range map[string]*tls.Config{
		"TLS 1.1": {RootCAs: pool, MaxVersion: tls.VersionTLS11}, "no trust": {RootCAs: x509.NewCertPool()},
	} {
		if conn, err := tls.Dial("tcp", p.Addr, config); err == nil {
			conn.Close()
			t.Errorf("%s: the handshake succeeded", name)
		}
	}

	pool = issue(t, cert, key, 2)
	eventually(t, "the new certificate", func() error {
		conn, err := tls.Dial("tcp", p.Addr, &tls.Config{RootCAs: pool})
		if err != nil {
			return err
		}
		defer conn.Close()
		if serial := conn.ConnectionState().PeerCertificates[0].SerialNumber; serial.Int64() != 2 {
			return fmt.Errorf("certificate %v", serial)
		}
		return nil
	})
}

// issue writes a self-signed certificate for 127.0.0.1.
func issue(t *testing.T, cert, key string, serial int64) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "oci-proxy test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	// Write the key first. A server that reads in between finds a pair that does not match, and keeps the old one.
	for _, f := range []struct {
		file  string
		block pem.Block
	}{{key, pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}}, {cert, pem.Block{Type: "CERTIFICATE", Bytes: der}}} {
		if err := os.WriteFile(f.file+".new", pem.EncodeToMemory(&f.block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.file+".new", f.file); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// HTTP/2 without TLS, by prior knowledge. Load balancers and Cloud Run speak to a backend like this.
func TestUnencryptedHTTP2(t *testing.T) {
	p := proxy.Start(t, lone("https://example.org/"))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	resp := doWith(t, noRedirect(transport), http.MethodGet, p.URL("/v2/"), nil)
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s, want 200 by HTTP/2", resp.Proto, resp.Status)
	}
}

// The PROXY protocol, in both versions, names the client. The server refuses a trusted peer that leaves it out.
func TestProxyProtocol(t *testing.T) {
	p := proxy.Start(t, lone("https://example.org/").With(proxy.Map{
		"client": proxy.Map{"behind": proxy.Map{"proxyProtocol": true, "trusted": proxy.List{"127.0.0.0/8"}}, "whoami": true},
	}))
	for _, version := range []byte{1, 2} {
		for _, client := range []string{"198.51.100.7", "2001:db8:1::7"} {
			t.Run(fmt.Sprintf("v%d %s", version, client), func(t *testing.T) {
				from := &net.TCPAddr{IP: net.ParseIP(client), Port: 4711}
				to := &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 443}
				if from.IP.To4() == nil {
					to.IP = net.ParseIP("2001:db8::1")
				}
				body, err := whoami(t, p.Addr, proxyproto.HeaderProxyFromAddrs(version, from, to))
				if err != nil || !strings.Contains(body, client) {
					t.Errorf("whoami: %q, %v; want %s", body, err, client)
				}
			})
		}
	}
	t.Run("without", func(t *testing.T) {
		if body, err := whoami(t, p.Addr, nil); err == nil {
			t.Errorf("it answered %q", body)
		}
	})
}

// A server that does not expect the PROXY protocol treats it as invalid HTTP.
func TestProxyProtocolUnasked(t *testing.T) {
	p := proxy.Start(t, lone("https://example.org/").With(proxy.Map{"client": proxy.Map{"behind": "direct", "whoami": true}}))
	header := proxyproto.HeaderProxyFromAddrs(1, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1})
	if body, err := whoami(t, p.Addr, header); err == nil && strings.Contains(body, "198.51.100.7") {
		t.Errorf("it believed it: %q", body)
	}
}

// whoami asks the server for the client's address on a connection that begins with a PROXY protocol header.
func whoami(t *testing.T, addr string, header *proxyproto.Header) (string, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if header != nil {
		if _, err := header.WriteTo(conn); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, "GET /-/whoami HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", resp.Status)
	}
	return string(body), err
}

// IPv6 from end to end. A store without IPv6 is never given to an IPv6 client.
func TestIPv6(t *testing.T) {
	_, port, _ := strings.Cut(parts.FreeAddr(t), ":")
	listen := "[::1]:" + port
	p := proxy.Start(t, lone("https://example.org/").With(proxy.Map{
		"listen": listen,
		"client": proxy.Map{"behind": "direct", "whoami": true},
		"ranges": proxy.Map{"overrides": proxy.List{proxy.Map{"cidr": "::1/128", "place": "aws/us-east-1"}}},
		"stores": proxy.List{
			proxy.Map{"name": "v4-only", "place": "aws/us-east-1", "url": "https://v4.invalid/{digest}", "serves": proxy.List{"aws"}, "families": proxy.List{"ipv4"}},
		},
	}))
	body, err := io.ReadAll(do(t, http.MethodGet, p.URL("/-/whoami"), nil).Body)
	if err != nil || !strings.Contains(string(body), "::1") || !strings.Contains(string(body), "aws/us-east-1") {
		t.Errorf("whoami: %s, %v", body, err)
	}
	digest := "sha256:" + strings.Repeat("1", 64)
	resp := doWith(t, noRedirect(http.DefaultTransport), http.MethodGet, p.URL("/v2/app/blobs/"+digest), nil)
	if got, want := resp.Header.Get("Location"), "https://upstream.invalid/v2/app/blobs/"+digest; got != want {
		t.Errorf("Location %s, want %s", got, want)
	}
}

// Limits: a header that is too long, one that never ends, too many connections.
func TestLimits(t *testing.T) {
	p := proxy.Start(t, lone("https://example.org/").With(proxy.Map{"limits": proxy.Map{
		"headerBytes": 8192, "readHeaderTimeout": "500ms", "maxConnections": 3, "idleTimeout": "1m",
	}}))
	t.Run("long header", func(t *testing.T) {
		resp := doWith(t, noRedirect(&http.Transport{DisableKeepAlives: true}), http.MethodGet, p.URL("/v2/"), http.Header{"X-Long": {strings.Repeat("x", 64<<10)}})
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s, want 431", resp.Status)
		}
	})
	t.Run("endless header", func(t *testing.T) {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /v2/ HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = io.Copy(io.Discard, conn)
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("still open after %v: %v", took, err)
		}
	})
	t.Run("connections", func(t *testing.T) {
		// Open idle connections up to the limit. The server then replaces one of them to serve one more.
		for range 3 {
			conn, err := net.Dial("tcp", p.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		resp := doWith(t, noRedirect(&http.Transport{DisableKeepAlives: true}), http.MethodGet, p.URL("/v2/"), nil)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a fourth connection: %s", resp.Status)
		}
	})
}
