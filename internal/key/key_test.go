package key

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAKeyReadsBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "probe.key")
	made, err := New(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want -rw-------", info.Mode(), err)
	}
	read, err := Read(file)
	if err != nil || !bytes.Equal(read, made) {
		t.Errorf("another key was read: %v", err)
	}
	public, err := Parse(Format(Public(made)))
	if err != nil || !public.Equal(Public(made)) {
		t.Errorf("the public key does not read back: %v", err)
	}
	if id := ID(public); len(id) != 16 {
		t.Errorf("id %q", id)
	}
	if _, err := New(file); !errors.Is(err, os.ErrExist) {
		t.Errorf("New replaced a key: %v", err)
	}
	if again, err := Read(file); err != nil || !bytes.Equal(again, made) {
		t.Errorf("the key changed: %v", err)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	for text, want := range map[string]string{
		"":                                "no PEM block",
		"SECRET":                          "no PEM block",
		block("CERTIFICATE", []byte("x")): `is a "CERTIFICATE"`,
		block("ENCRYPTED PRIVATE KEY", []byte("x")): "not an unencrypted",
		block(pemType, []byte("SECRET")):            "not a private key",
		block(pemType, der):                         "not an ed25519 key",
		strings.Repeat("x", maxFile+1):              "not a file with one private key",
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "AAAA", strings.Repeat("A", 44), strings.Repeat("A", 43) + "="[:0], "é"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("Parse accepts %q", text)
		}
	}
}
