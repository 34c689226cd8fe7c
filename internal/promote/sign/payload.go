package sign

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"ociproxy/internal/oci"
)

// Media types and names of cosign and sigstore.
const (
	simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	sigAnnotation = "dev.cosignproject.cosign/signature"
	dsseEnvelope  = "application/vnd.dsse.envelope.v1+json" // a layer of an attestation
	bundlePrefix  = "application/vnd.dev.sigstore.bundle."  // v0.3+json and later
	inToto        = "application/vnd.in-toto+json"
)

// simple returns the text to sign. Its bytes depend only on the arguments, and are those that cosign writes.
func simple(identity string, d oci.Digest) ([]byte, error) {
	return json.Marshal(payload.SimpleContainerImage{
		Critical: payload.Critical{
			Identity: payload.Identity{DockerReference: identity},
			Image:    payload.Image{DockerManifestDigest: d.String()},
			Type:     payload.CosignSignatureType,
		},
	})
}

// errOther says that what was signed is about something else.
var errOther = errors.New("it is about another image")

// aboutSimple reports whether a signed text is about an image under exactly this identity.
func aboutSimple(text []byte, identity string, d oci.Digest) error {
	var p payload.SimpleContainerImage
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	c := p.Critical
	if c.Type != payload.CosignSignatureType || c.Image.DockerManifestDigest != d.String() || c.Identity.DockerReference != identity {
		return errOther
	}
	return nil
}

// statement is the part of an in-toto statement that matters here.
type statement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string `json:"predicateType"`
}

// vouches are the predicates that say where an image comes from. A trusted key may sign others, such as a list of the
// image's faults, without any approval of the image.
var vouches = map[string]bool{
	"https://sigstore.dev/cosign/sign/v1": true, // a plain signature
	"https://slsa.dev/provenance/v0.2":    true,
	"https://slsa.dev/provenance/v1":      true,
}

// aboutStatement reports whether a signed text vouches for an image. It names no repository: only the digest counts.
func aboutStatement(text []byte, d oci.Digest) error {
	var s statement
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if (s.Type == "https://in-toto.io/Statement/v1" || s.Type == "https://in-toto.io/Statement/v0.1") && vouches[s.PredicateType] {
		for _, subject := range s.Subject {
			if subject.Digest[d.Algorithm()] == d.Hex() {
				return nil
			}
		}
	}
	return errOther
}

// opened returns the text in a DSSE envelope that one of the keys signed.
func (k Keys) opened(envelope []byte) (text []byte, ok bool) {
	for _, key := range k {
		v := dsse.WrapVerifier(key, dsse.WithExpectedPayloadType(inToto), dsse.WithDecodedPayload(&text))
		if v.VerifySignature(bytes.NewReader(envelope), nil) == nil {
			return text, true
		}
	}
	return nil, false
}

// bundle is the part of a sigstore bundle that matters here.
type bundle struct {
	MediaType string          `json:"mediaType"`
	Envelope  json.RawMessage `json:"dsseEnvelope"`
}
