package inventory

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"ociproxy/internal/oci"
)

// shelf has segments by hash, as a cache has.
type shelf map[string][]byte

func (s shelf) open(ref SegmentRef) (io.ReadCloser, error) {
	b, ok := s[ref.SHA256]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// add writes records as segments, one for each algorithm.
func (s shelf) add(t testing.TB, records ...Record) (refs []SegmentRef) {
	t.Helper()
	spools, err := spoolRecords(t.TempDir(), records)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSpools(spools)
	for _, sp := range spools {
		if err := sp.seal(0); err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(sp.object().Body)
		if err != nil {
			t.Fatal(err)
		}
		s[sp.ref.SHA256] = body
		refs = append(refs, sp.ref)
	}
	return refs
}

// digestOf makes digest i; each fifth is sha512, and some share their first eight bytes.
func digestOf(i int) oci.Digest {
	alg := sha256Digests
	if i%5 == 4 {
		alg = sha512Digests
	}
	raw := make([]byte, alg.digestLen())
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	for j := 0; j < len(raw); j += 8 {
		binary.BigEndian.PutUint64(raw[j:], rng.Uint64())
	}
	if i%7 < 3 {
		copy(raw, "collides")
	}
	return alg.digest(raw)
}

func sha256Of(i int) oci.Digest {
	d, err := oci.ParseDigest(fmt.Sprintf("sha256:%064x", i))
	if err != nil {
		panic(err)
	}
	return d
}
