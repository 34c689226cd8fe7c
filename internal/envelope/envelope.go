package envelope

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"ociproxy/internal/key"
	"ociproxy/internal/strictjson"
)

// MaxBytes is the largest envelope, and the largest record without one. A record with thousands of findings has some
// 100 KB.
const MaxBytes = 1 << 20

// maxSignatures bounds the work for one envelope: each signature may be tried with each trusted key.
const maxSignatures = 16

// These are the reasons for which an envelope is not opened. Errors wrap them.
var (
	// ErrFormat says that the text is no envelope.
	ErrFormat = errors.New("not a signed record")
	// ErrType says that the envelope has a payload of another type than the reader wants.
	ErrType = errors.New("a record of another type")
	// ErrUntrusted says that no signature is a valid one by a trusted key.
	ErrUntrusted = errors.New("no valid signature by a trusted key")
	// ErrNoKey says that the reader trusts no key at all. This is never taken for "trust everything".
	ErrNoKey = errors.New("no trusted key was given")
)

// Signer signs with an ed25519 key that may lie elsewhere, such as in the key service of a cloud.
type Signer interface {
	// Public returns the public half of the key.
	Public() ed25519.PublicKey
	// Sign returns the signature of data, 64 bytes. It ends with ctx.
	Sign(ctx context.Context, data []byte) ([]byte, error)
}

// Key returns the signer of a private key in memory.
func Key(private ed25519.PrivateKey) Signer { return inMemory(private) }

// Sign returns an envelope with the payload, as indented JSON with a final newline.
func Sign(private ed25519.PrivateKey, payloadType string, payload []byte) ([]byte, error) {
	return SignWith(context.Background(), Key(private), payloadType, payload) // a key in memory: nothing waits
}

// SignWith is [Sign] with a key that may lie elsewhere. It verifies the signature that it gets: a wrong key must be
// noticed by the writer, and not by all readers.
func SignWith(ctx context.Context, with Signer, payloadType string, payload []byte) ([]byte, error) {
	if payloadType == "" {
		return nil, errors.New("sign: the payload has no type")
	}
	signer, err := dsse.NewEnvelopeSigner(&signer{with})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	e, err := signer.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if text = append(text, '\n'); len(text) > MaxBytes {
		return nil, fmt.Errorf("sign: the envelope has %d bytes, readers accept %d", len(text), MaxBytes)
	}
	return text, nil
}

// Open returns the payload of an envelope that has exactly this type and a valid signature by at least one of the
// trusted keys, and that key's id. Other signatures do not matter, and neither do the names of keys in the envelope,
// which nobody signs. The error wraps one of this package's.
//
// It does not use the library's verifier, which skips keys by those names, prints to stdout, and makes the program
// larger by the key formats of SSH.
func Open(data []byte, payloadType string, trusted ...ed25519.PublicKey) (payload []byte, keyID string, err error) {
	if len(trusted) == 0 {
		return nil, "", ErrNoKey
	}
	e, payload, err := parse(data)
	if err != nil {
		return nil, "", err
	}
	if e.PayloadType != payloadType {
		return nil, "", fmt.Errorf("%w: %.100q, want %q", ErrType, e.PayloadType, payloadType)
	}
	signed := dsse.PAE(e.PayloadType, payload)
	for i := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(e.Signatures[i].Sig)
		if err != nil {
			continue // parse has refused it
		}
		for _, public := range trusted {
			if len(public) == ed25519.PublicKeySize && ed25519.Verify(public, signed, sig) {
				return payload, key.ID(public), nil
			}
		}
	}
	return nil, "", fmt.Errorf("%w: it is signed by %s", ErrUntrusted, names(e))
}

// Content is what a file says about itself. Nobody has verified it.
type Content struct {
	// Type is the type of the payload.
	Type string
	// Payload is the record.
	Payload []byte
	// KeyIDs are the names of the keys that the envelope says it is signed with; nil for a record without an envelope.
	KeyIDs []string
}

// Peek reads an envelope, or a record without one, and verifies no signature. Use the content only to show it to a
// person, and to find out which type to [Open].
func Peek(data []byte) (*Content, error) {
	if record, err := ParseRecord(data); err == nil {
		return &Content{Payload: data, Type: record.Type()}, nil
	}
	e, payload, err := parse(data)
	if err != nil {
		return nil, err
	}
	c := &Content{Type: e.PayloadType, Payload: payload, KeyIDs: []string{}}
	for _, s := range e.Signatures {
		c.KeyIDs = append(c.KeyIDs, s.KeyID)
	}
	return c, nil
}

// parse reads the form of an envelope. It is stricter than the specification, which allows unknown keys and a second
// alphabet of base64: our own writer needs neither, and what has one reading cannot be read in two ways.
func parse(data []byte) (*dsse.Envelope, []byte, error) {
	var e dsse.Envelope
	if err := strictjson.UnmarshalClosed(data, &e, strictjson.Bounds{Bytes: MaxBytes, Depth: 4, Values: 4 * maxSignatures}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch n := len(e.Signatures); {
	case e.PayloadType == "":
		return nil, nil, fmt.Errorf("%w: it has no payloadType", ErrFormat)
	case n == 0:
		return nil, nil, fmt.Errorf("%w: it has no signature", ErrFormat)
	case n > maxSignatures:
		return nil, nil, fmt.Errorf("%w: %d signatures are more than %d", ErrFormat, n, maxSignatures)
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(e.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: payload: %w", ErrFormat, err)
	}
	for i := range e.Signatures {
		if _, err := base64.StdEncoding.Strict().DecodeString(e.Signatures[i].Sig); err != nil {
			return nil, nil, fmt.Errorf("%w: signature %d: %w", ErrFormat, i+1, err)
		}
	}
	return &e, payload, nil
}

// names lists the ids of the keys that an envelope names. They may be wrong: the signature does not cover them.
func names(e *dsse.Envelope) string {
	list := ""
	for i := range e.Signatures {
		id := e.Signatures[i].KeyID
		if id == "" {
			id = "a key without a name"
		}
		if i > 0 {
			list += ", "
		}
		list += fmt.Sprintf("%.64q", id)
	}
	return list
}

// inMemory is a private key as a [Signer].
type inMemory ed25519.PrivateKey

// Public implements [Signer].
func (k inMemory) Public() ed25519.PublicKey { return key.Public(ed25519.PrivateKey(k)) }

// Sign implements [Signer].
func (k inMemory) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), data), nil
}

// signer is a [Signer] in the form that the library wants.
type signer struct{ Signer }

// Sign implements [dsse.Signer].
func (s *signer) Sign(ctx context.Context, data []byte) ([]byte, error) {
	sig, err := s.Signer.Sign(ctx, data)
	if err == nil && !ed25519.Verify(s.Public(), data, sig) {
		err = fmt.Errorf("the signature is not one by the key %s", key.ID(s.Public()))
	}
	return sig, err
}

// KeyID implements [dsse.Signer].
func (s *signer) KeyID() (string, error) { return key.ID(s.Public()), nil }
