package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
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

// add writes records as segments, one per form. It sorts them and drops records that later ones override.
func (s shelf) add(t testing.TB, records ...Record) (refs []SegmentRef) {
	t.Helper()
	for _, f := range Forms() {
		latest := map[oci.Digest]Record{}
		for _, r := range records {
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			if r.Form() == f {
				latest[r.Digest] = r
			}
		}
		if len(latest) > 0 {
			list := slices.SortedFunc(maps.Values(latest), func(a, b Record) int {
				return strings.Compare(a.Digest.String(), b.Digest.String())
			})
			refs = append(refs, s.put(Header{Form: f}, list))
		}
	}
	return refs
}

// put writes a segment exactly as given.
func (s shelf) put(h Header, records []Record) SegmentRef {
	h.Count = uint64(len(records))
	body := h.Append(nil)
	for _, r := range records {
		body = AppendRecord(body, r)
	}
	sum := sha256.Sum256(body)
	ref := SegmentRef{SHA256: hex.EncodeToString(sum[:]), Count: h.Count, Bytes: h.Bytes()}
	s[ref.SHA256] = body
	return ref
}

// digestOf makes digest i. Every fifth is sha512, and some share their first eight bytes.
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
