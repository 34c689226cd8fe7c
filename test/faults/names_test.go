package faults

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"ociproxy/test/parts"
)

// certificates are a store's certificates, from an authority of their own: a valid one and an expired one.
type certificates struct {
	authority       *x509.Certificate
	valid, outdated *tls.Certificate
	expired         atomic.Bool
}

func newCertificates() *certificates {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &certificates{}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	c.authority, _ = issue(root, root, key)
	leaf := func(serial int64, until time.Time) *tls.Certificate {
		_, raw := issue(&x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "store"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, c.authority, key)
		return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
	}
	c.valid, c.outdated = leaf(2, time.Now().Add(time.Hour)), leaf(3, time.Now().Add(-time.Minute))
	return c
}

func issue(template, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, []byte) {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		panic(err)
	}
	return cert, raw
}

func (c *certificates) server() *tls.Config {
	return &tls.Config{SessionTicketsDisabled: true, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c.expired.Load() {
			return c.outdated, nil
		}
		return c.valid, nil
	}}
}

func (c *certificates) client() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(c.authority)
	return &tls.Config{RootCAs: pool}
}

// env returns the environment that makes a Go program trust the authority.
func (c *certificates) env(t *testing.T, _ *world) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.authority.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"SSL_CERT_FILE=" + file}
}

// nameserver answers every name with 127.0.0.1. With fail, it fails failingName.
type nameserver struct {
	addr string // address without port, known once it serves; the port is 53, where resolvers look
	fail atomic.Bool
}

// failingName is the name that can fail.
const failingName = "s3-use1.test"

func (n *nameserver) serve(t *testing.T) {
	t.Helper()
	var conn net.PacketConn
	for try := 0; conn == nil; try++ {
		// Use a random address: another suite on this machine may have a name server too.
		n.addr = fmt.Sprintf("127.77.%d.%d", mathrand.IntN(256), 1+mathrand.IntN(254))
		var err error
		if conn, err = net.ListenPacket("udp", n.addr+":53"); err != nil && try == 100 {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, err := n.answer(buf[:size]); err == nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
}

func (n *nameserver) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	head.Response, head.RecursionAvailable = true, true
	if n.fail.Load() && q.Name.String() == failingName+"." {
		head.RCode = dnsmessage.RCodeServerFailure
	}
	b := dnsmessage.NewBuilder(nil, head)
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q); err != nil {
		return nil, err
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	if q.Type == dnsmessage.TypeA && head.RCode == dnsmessage.RCodeSuccess {
		err := b.AResource(dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}})
		if err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// dial connects as clients of this name server do.
func (n *nameserver) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.addr+":53")
	}}}
	return d.DialContext(ctx, network, addr)
}

// command returns the command that starts the proxy with its own resolv.conf, in a mount namespace that ends with the
// proxy.
func (n *nameserver) command(t *testing.T, w *world, binary string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+n.addr+"\noptions timeout:1 attempts:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{parts.Find(t, "unshare"), "--mount", "sh", "-c", `mount --bind "$1" /etc/resolv.conf && exec "$2" serve --config "$3"`,
		"sh", file, binary, w.file}
}
