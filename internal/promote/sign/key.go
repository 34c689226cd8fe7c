package sign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// maxKeyFile bounds the bytes read of a key file.
const maxKeyFile = 1 << 20

// PasswordVariable is where cosign and we look for the password of a private key. An empty password is a valid one.
const PasswordVariable = "COSIGN_PASSWORD"

// PrivateKey signs. It may be used by several goroutines.
type PrivateKey struct{ signer signature.SignerVerifier }

// LoadPrivateKey reads a private key as cosign generate-key-pair writes it, encrypted with the password in
// COSIGN_PASSWORD, or in plain PKCS #8. The error wraps [ErrKey] if the file exists and is not such a key.
func LoadPrivateKey(file string, getenv func(string) string) (*PrivateKey, error) {
	raw, err := readKeyFile(file)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	k, err := ParsePrivateKey(raw, []byte(getenv(PasswordVariable)))
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", file, err)
	}
	return k, nil
}

// ParsePrivateKey does what [LoadPrivateKey] does, for the text of a file.
func ParsePrivateKey(text, password []byte) (*PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: it is not PEM", ErrKey)
	}
	der := block.Bytes
	switch block.Type {
	case string(cryptoutils.PrivateKeyPEMType):
	case string(cryptoutils.EncryptedSigstorePrivateKeyPEMType), "ENCRYPTED COSIGN PRIVATE KEY": // cosign 1: the second
		var err error
		if der, err = encrypted.Decrypt(block.Bytes, password); err != nil {
			return nil, fmt.Errorf("%w: with the password in %s: %w", ErrKey, PasswordVariable, err)
		}
	default:
		return nil, fmt.Errorf("%w: a PEM block %q is no private key of cosign", ErrKey, block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	s, err := signature.LoadSignerVerifier(key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &PrivateKey{s}, nil
}

// Public returns the key that verifies what k signs.
func (k *PrivateKey) Public() Keys { return Keys{k.signer} }

// sign returns the signature of a message.
func (k *PrivateKey) sign(message []byte) ([]byte, error) {
	return k.signer.SignMessage(bytes.NewReader(message))
}

// Keys are trusted public keys; any of them counts. Several goroutines may use them.
type Keys []signature.Verifier

// LoadKeys reads files with one or more public keys in PEM each. The error wraps [ErrKey] if a file exists and is not
// such a key.
func LoadKeys(files ...string) (keys Keys, err error) {
	for _, file := range files {
		raw, err := readKeyFile(file)
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		some, err := ParseKeys(raw)
		if err != nil {
			return nil, fmt.Errorf("read public key %s: %w", file, err)
		}
		keys = append(keys, some...)
	}
	return keys, nil
}

// ParseKeys does what [LoadKeys] does, for the text of a file.
func ParseKeys(text []byte) (keys Keys, err error) {
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%w: it is not PEM", ErrKey)
		}
		pub, err := cryptoutils.UnmarshalPEMToPublicKey(pem.EncodeToMemory(block))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		v, err := signature.LoadVerifier(pub, crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		keys = append(keys, v)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the file is empty", ErrKey)
	}
	return keys, nil
}

// signed reports whether one of the keys signed a message.
func (k Keys) signed(message, sig []byte) bool {
	for _, v := range k {
		if v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil {
			return true
		}
	}
	return false
}

func readKeyFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(raw) > maxKeyFile {
		err = fmt.Errorf("%s: %w: larger than %d bytes", file, ErrKey, maxKeyFile)
	}
	return raw, err
}
