package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
)

// Hash returns a new hash with the digest's algorithm. It knows only the algorithms that stores may hold
// ([Digest.InStores]). For any other algorithm, the hash accepts all bytes and has no sum, so no content ever matches
// such a digest.
func (d Digest) Hash() hash.Hash {
	if h := newHash(d.Algorithm()); h != nil {
		return h
	}
	return unknown{}
}

// Matches reports whether the bytes written to h, a hash from [Digest.Hash], have this digest.
func (d Digest) Matches(h hash.Hash) bool {
	return !d.IsZero() && hex.EncodeToString(h.Sum(nil)) == d.Hex()
}

// Sum returns the digest of b by an algorithm. It is zero for an algorithm other than sha256 and sha512.
func Sum(algorithm string, b []byte) Digest {
	h := newHash(algorithm)
	if h == nil {
		return Digest{}
	}
	h.Write(b)
	return Digest{algorithm + ":" + hex.EncodeToString(h.Sum(nil))}
}

// newHash returns nil for an unknown algorithm.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// unknown is the hash of an unknown algorithm.
type unknown struct{}

func (unknown) Write(p []byte) (int, error) { return len(p), nil }
func (unknown) Sum(b []byte) []byte         { return b }
func (unknown) Reset()                      {}
func (unknown) Size() int                   { return 0 }
func (unknown) BlockSize() int              { return 1 }
