package registry

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"ociproxy/internal/oci"
)

// matches reports whether a manifest has a digest: that of its bytes, or that of its payload for signed schema 1.
func (m *Manifest) matches(d oci.Digest) bool {
	return !d.IsZero() && (m.Digest == d || oci.Sum(d.Algorithm(), m.Raw) == d || oci.Sum(d.Algorithm(), m.payload()) == d)
}

// payload returns the signed part of a schema 1 manifest, and nil for any other manifest.
func (m *Manifest) payload() []byte {
	var body struct {
		FSLayers   []json.RawMessage `json:"fsLayers"`
		Signatures []json.RawMessage `json:"signatures"`
	}
	if json.Unmarshal(m.Raw, &body) != nil || body.FSLayers == nil || body.Signatures == nil {
		return nil
	}
	p, err := signedPayload(m.Raw, body.Signatures)
	if err != nil {
		return nil
	}
	return p
}

// signedPayload undoes the "pretty" signature of schema 1. The protected header of each signature says how many bytes
// of the document belong to the payload, and which bytes follow them. The digest of such a manifest is that of its
// payload.
func signedPayload(raw []byte, signatures []json.RawMessage) ([]byte, error) {
	bad := func(what string) ([]byte, error) { return nil, fmt.Errorf("%w: signature: %s", ErrInvalid, what) }
	if len(signatures) == 0 {
		return bad("there is none")
	}
	var signature struct {
		Protected string `json:"protected"`
	}
	if err := json.Unmarshal(signatures[0], &signature); err != nil {
		return bad("not an object")
	}
	text, err := base64.RawURLEncoding.DecodeString(signature.Protected)
	if err != nil {
		return bad("protected header")
	}
	var header struct {
		Length int    `json:"formatLength"`
		Tail   string `json:"formatTail"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return bad("protected header")
	}
	tail, err := base64.RawURLEncoding.DecodeString(header.Tail)
	if err != nil || header.Length < 0 || header.Length > len(raw) {
		return bad("format")
	}
	return append(raw[:header.Length:header.Length], tail...), nil
}
