package oci

import "strings"

// MaxDigest is the maximum length of a digest with an unknown algorithm, in bytes. The longest known one, sha512, has
// 135.
const MaxDigest = 255

// Digest is a validated content digest, "algorithm:encoded". Only [ParseDigest] and [Sum] make one, so a Digest that is
// not zero is always well formed. It is a substring of the parsed text, and is comparable.
type Digest struct{ s string }

// ParseDigest validates s. A sha256 or blake3 digest has 64 lower-case hexadecimal digits, and a sha512 digest has 128.
// A digest with another algorithm only needs to match the grammar of the image specification. The error is
// [ErrDigestInvalid].
func ParseDigest(s string) (Digest, error) {
	if !validDigest(s) {
		return Digest{}, ErrDigestInvalid
	}
	return Digest{s}, nil
}

// String returns the digest in the form that a path has: "algorithm:encoded".
func (d Digest) String() string { return d.s }

// IsZero reports whether d is not a digest.
func (d Digest) IsZero() bool { return d.s == "" }

// Algorithm returns the part before the colon.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(d.s, ":")
	return algorithm
}

// Hex returns the part after the colon. It is hexadecimal for the registered algorithms. Other algorithms may use
// another encoding.
func (d Digest) Hex() string {
	_, encoded, _ := strings.Cut(d.s, ":")
	return encoded
}

// InStores reports whether stores can hold this digest. They hold sha256 and sha512. Only upstreams serve other
// algorithms.
func (d Digest) InStores() bool {
	return strings.HasPrefix(d.s, "sha256:") || strings.HasPrefix(d.s, "sha512:")
}

// MarshalText implements [encoding.TextMarshaler].
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.s), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseDigest].
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

func validDigest(s string) bool {
	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		return false
	}
	encoded := s[colon+1:]
	switch s[:colon] {
	case "sha256", "blake3":
		return len(encoded) == 64 && all(encoded, classHex)
	case "sha512":
		return len(encoded) == 128 && all(encoded, classHex)
	}
	return len(s) <= MaxDigest && validAlgorithm(s[:colon]) &&
		encoded != "" && all(encoded, classEncoded)
}

// validAlgorithm reports whether s is component *( ("+" / "." / "_" / "-") component ), where a component is lower-case
// letters and digits.
func validAlgorithm(s string) bool {
	after := true // a component must follow
	for i := range len(s) {
		switch {
		case is(s[i], classLower):
			after = false
		case !after && strings.IndexByte("+._-", s[i]) >= 0:
			after = true
		default:
			return false
		}
	}
	return !after
}

// MaxBlob is the size of the largest plausible blob, in bytes: 200 GiB. That is the largest layer that a registry
// documents as accepted (Azure Container Registry's limits, 2025; Amazon ECR takes 52 GB). A larger size is a lie or an
// error, and sums of such sizes would soon overflow a counter.
const MaxBlob = 200 << 30
