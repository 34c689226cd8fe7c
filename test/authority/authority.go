// Package authority makes certificate authorities and certificates for tests.
//
// It knows X.509 and the environment by which Go programs trust an authority. It must not know who uses a certificate.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority.
type Authority struct {
	Root *x509.Certificate
	File string // with the certificate of the authority

	key *ecdsa.PrivateKey
}

// Issued is a certificate with its key, both files. Together has both in one file, as haproxy wants them.
type Issued struct{ Cert, Key, Together string }

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{File: filepath.Join(t.TempDir(), "ca.crt"), key: newKey(t)}
	root := template(t, time.Hour)
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	root.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	der := sign(t, root, root, &a.key.PublicKey, a.key)
	var err error
	if a.Root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	write(t, a.File, block("CERTIFICATE", der))
	return a
}

// Issue makes a certificate for hosts (names and addresses), which ends after lasts.
func (a *Authority) Issue(t testing.TB, lasts time.Duration, hosts ...string) Issued {
	t.Helper()
	dir, key := t.TempDir(), newKey(t)
	leaf := template(t, lasts)
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := block("CERTIFICATE", sign(t, leaf, a.Root, &key.PublicKey, a.key)), block("PRIVATE KEY", der)
	is := Issued{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "tls.pem")}
	write(t, is.Cert, cert)
	write(t, is.Key, private)
	write(t, is.Together, append(cert, private...))
	return is
}

// Trust returns the variable that makes this authority the system's only one, for Go programs.
func (a *Authority) Trust() string { return "SSL_CERT_FILE=" + a.File }

// Pool returns a pool with this authority only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Root)
	return pool
}

func template(t testing.TB, lasts time.Duration) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "test " + serial.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, data []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
}

func write(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
