package sign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// The test uses the kinds of files that cosign generate-key-pair writes.
func TestKeys(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypted.Encrypt(der, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password := func(text string) func(string) string {
		return func(name string) string {
			if name != "COSIGN_PASSWORD" {
				t.Errorf("asked for %s", name)
			}
			return text
		}
	}
	pub, err := LoadKeys(file("pub", append(append([]byte("\n"), public...), public...)))
	if err != nil || len(pub) != 2 {
		t.Fatal(len(pub), err)
	}
	for _, kind := range []string{"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"} {
		private := file("key", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: sealed}))
		key, err := LoadPrivateKey(private, password("secret"))
		if err != nil {
			t.Fatal(err)
		}
		sig, err := key.sign([]byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		if !pub.signed([]byte("text"), sig) || pub.signed([]byte("another"), sig) {
			t.Error("the public key does not tell")
		}
		if _, err := LoadPrivateKey(private, password("wrong")); !errors.Is(err, ErrKey) {
			t.Errorf("wrong password: %v", err)
		}
	}
	for name, text := range map[string][]byte{"empty": nil, "text": []byte("hello"), "public": public} {
		if _, err := ParsePrivateKey(text, nil); !errors.Is(err, ErrKey) {
			t.Errorf("%s as private key: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{"empty": nil, "text": []byte("hello"), "trailing": append(public[:len(public):len(public)], "x"...)} {
		if _, err := ParseKeys(text); !errors.Is(err, ErrKey) {
			t.Errorf("%s as public keys: %v", name, err)
		}
	}
	if _, err := LoadKeys(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
