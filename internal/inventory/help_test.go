package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
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

// memoryBucket is a [Bucket] for tests of this package, which cannot use inventorytest.
type memoryBucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	version map[string]int
	last    int
}

func (b *memoryBucket) Get(_ context.Context, key string) (io.ReadCloser, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, ok := b.objects[key]
	if !ok {
		return nil, "", ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(body)), strconv.Itoa(b.version[key]), nil
}

func (b *memoryBucket) Put(_ context.Context, key string, o Object, version string) (string, error) {
	body, err := io.ReadAll(o.Body)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.objects[key]
	switch {
	case ok && version == "":
		return "", ErrExists
	case ok != (version != "") || ok && strconv.Itoa(b.version[key]) != version:
		return "", ErrConflict
	}
	if b.objects == nil {
		b.objects, b.version = map[string][]byte{}, map[string]int{}
	}
	b.last++
	b.objects[key], b.version[key] = body, b.last
	return strconv.Itoa(b.last), nil
}

func (b *memoryBucket) List(context.Context, string) iter.Seq2[Listed, error] {
	return func(func(Listed, error) bool) {}
}

func (b *memoryBucket) Delete(context.Context, string) error { return nil }
