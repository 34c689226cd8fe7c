// Package key knows the ed25519 keys that operators make for probes and records: their files, how configs and
// documents name the public half, and how short ids tell keys apart.
//
// It must not know what is signed.
package key

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"ociproxy/internal/atomicfile"
)

// pemType is the PEM type of a private key in PKCS #8 (RFC 7468, section 10), as `openssl genpkey -algorithm ed25519`
// writes it.
const pemType = "PRIVATE KEY"

// maxFile is far above the size of a private key in PEM, which is 119 bytes.
const maxFile = 16 << 10

// New writes a new private key to the file name, readable by its owner only, and returns it. It never replaces a
// file: then the error is [os.ErrExist].
func New(name string) (ed25519.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	f, err := atomicfile.Create(name, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Abort() }()
	if err := pem.Encode(f, &pem.Block{Type: pemType, Bytes: der}); err != nil {
		return nil, err
	}
	if err := f.CommitNew(); err != nil {
		return nil, err
	}
	return private, nil
}

// Read reads the private key in the file name. Errors name the file and never its content.
func Read(name string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a file with one private key", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	private, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return private, nil
}

func parse(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block: the file must be an ed25519 private key in PKCS #8")
	}
	if block.Type != pemType {
		return nil, fmt.Errorf("the PEM block is a %.40q, not an unencrypted %s in PKCS #8", block.Type, pemType)
	}
	is, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block is not a private key in PKCS #8")
	}
	private, ok := is.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key is a %T, not an ed25519 key", is)
	}
	return private, nil
}

// Public returns the public half of a private key.
func Public(private ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// Format returns a public key as configs and documents write it: the 32 bytes in base64.
func Format(public ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(public) }

// Parse reads what [Format] writes.
func Parse(text string) (ed25519.PublicKey, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("not an ed25519 public key: it has 32 bytes in base64, 44 characters")
	}
	return raw, nil
}

// ID returns a short name of a public key: the first 8 bytes of its SHA-256 in hex. It tells keys apart and proves
// nothing.
func ID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}
