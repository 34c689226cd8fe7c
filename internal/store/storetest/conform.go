package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/store"
)

// Conform tests that a bucket keeps its promises. Every test has its own keys, so open may return the same bucket each
// time, or one that is in use. Conform needs some 200 MiB of space.
func Conform(t *testing.T, open func(t *testing.T) store.Bucket) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, bucket)
	}{
		{"Check", check},
		{"RoundTrip", roundTrip},
		{"NotFound", notFound},
		{"PutIfAbsent", putIfAbsent},
		{"Swap", swap},
		{"RaceToCreate", raceToCreate},
		{"RaceToSwap", raceToSwap},
		{"Ranges", ranges},
		{"Versions", versions},
		{"List", list},
		{"ListPages", listPages},
		{"Delete", remove},
		{"Keys", keys},
		{"Large", large},
		{"Slow", slow},
		{"Unverified", unverified},
		{"Cut", cut},
		{"Spoilt", wrongBytes},
		{"Cancel", cancel},
		{"Copy", copyWithin},
		{"Clean", clean},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, bucket{Bucket: open(t), dir: "conform/" + rand.Text() + "/"}) })
	}
}

// header is the header of blobs. A store must not change it.
var header = store.BlobHeader

// bucket is the bucket under test.
type bucket struct {
	store.Bucket
	dir string // every key of the test starts with it
}

// put puts content that the store must take.
func (b bucket) put(t *testing.T, key string, c store.Content, version string) store.Attrs {
	t.Helper()
	a, err := b.Put(t.Context(), b.dir+key, c, header, version)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return a
}

// want reads a complete object and compares it.
func (b bucket) want(t *testing.T, key string, data []byte) store.Attrs {
	t.Helper()
	body, a, err := b.Get(t.Context(), b.dir+key, 0, -1)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("%s holds %d bytes %.60q, want %d bytes %.60q", key, len(got), got, len(data), data)
	}
	if a.Size != int64(len(data)) {
		t.Errorf("%s: get says %d bytes, want %d", key, a.Size, len(data))
	}
	return a
}

// absent makes sure that an object does not exist, by Head and in a list.
func (b bucket) absent(t *testing.T, key string) {
	t.Helper()
	if a, err := b.Head(t.Context(), b.dir+key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("head %s: %+v, %v, want ErrNotFound", key, a, err)
	}
	for a, err := range b.List(t.Context(), b.dir, "") {
		if err != nil {
			t.Fatal(err)
		}
		if a.Key == b.dir+key {
			t.Errorf("a list has %s", key)
		}
	}
}

func (b bucket) wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

// random returns reproducible noise.
func random(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{seed}).Read(data) // never fails
	return data
}

// big returns an object that stores take in parts: more than two parts of S3.
var big = sync.OnceValue(func() []byte { return random(1, 40<<20+12345) })

func check(t *testing.T, b bucket) {
	if err := b.Check(t.Context(), b.dir); err != nil {
		t.Fatal(err)
	}
	for a, err := range b.List(t.Context(), b.dir, "") {
		t.Errorf("Check left %s, %v", a.Key, err)
	}
	if b.String() == "" {
		t.Error("a bucket without a name")
	}
}

func roundTrip(t *testing.T, b bucket) {
	for name, data := range map[string][]byte{
		"empty": {}, "byte": {7}, "text": []byte("hello\n"), "gzip": {0x1f, 0x8b, 8, 0}, "megabyte": random(2, 1<<20+1),
	} {
		t.Run(name, func(t *testing.T) {
			for _, nameless := range []bool{false, true} {
				c := Whole(data)
				sum := c.SHA256()
				if nameless {
					c.Nameless()
				}
				key := fmt.Sprintf("%s-%v", name, nameless)
				put := b.put(t, key, c, "")
				got := b.want(t, key, data)
				head, err := b.Head(t.Context(), b.dir+key)
				if err != nil {
					t.Fatal(err)
				}
				if put.Key != b.dir+key || put.Version == "" || put.Size != c.Size() {
					t.Errorf("put returned %+v", put)
				}
				if head.Version != put.Version || got.Version != put.Version {
					t.Errorf("versions: put %q, head %q, get %q", put.Version, head.Version, got.Version)
				}
				if head.Key != b.dir+key || head.Size != c.Size() || head.Modified.IsZero() || head.ContentEncoding != "" {
					t.Errorf("head %+v", head)
				}
				if diff := cmp.Diff(header, head.Header); diff != "" {
					t.Errorf("header (-want +got):\n%s", diff)
				}
				checksums(t, head, sum, c.CRC32C())
			}
		})
	}
}

// checksums tests that the checksums a store keeps are right.
func checksums(t *testing.T, a store.Attrs, sha256 string, crc uint32) {
	t.Helper()
	if a.SHA256 != "" && a.SHA256 != sha256 {
		t.Errorf("the store says SHA-256 %s, want %s", a.SHA256, sha256)
	}
	if a.CRC32C != nil && *a.CRC32C != crc {
		t.Errorf("the store says CRC32C %08x, want %08x", *a.CRC32C, crc)
	}
}

func notFound(t *testing.T, b bucket) {
	_, err := b.Head(t.Context(), b.dir+"none")
	b.wantErr(t, "head", err, store.ErrNotFound)
	_, _, err = b.Get(t.Context(), b.dir+"none", 0, -1)
	b.wantErr(t, "get", err, store.ErrNotFound)
	_, _, err = b.Get(t.Context(), b.dir+"none", 5, 10)
	b.wantErr(t, "get of a range", err, store.ErrNotFound)
	if err := b.Delete(t.Context(), b.dir+"none", ""); err != nil {
		t.Errorf("delete: %v", err)
	}
	for a, err := range b.List(t.Context(), b.dir, "") {
		t.Errorf("list: %v, %v", a, err)
	}
}

func putIfAbsent(t *testing.T, b bucket) {
	first := b.put(t, "k", Whole([]byte("one")), "")
	for _, data := range []string{"two", "one", "three"} {
		_, err := b.Put(t.Context(), b.dir+"k", Whole([]byte(data)), header, "")
		b.wantErr(t, "put of "+data, err, store.ErrExists)
	}
	if a := b.want(t, "k", []byte("one")); a.Version != first.Version {
		t.Errorf("version %q, want %q", a.Version, first.Version)
	}
}

func swap(t *testing.T, b bucket) {
	one := b.put(t, "k", Whole([]byte("one")), "")
	_, err := b.Put(t.Context(), b.dir+"other", Whole([]byte("x")), header, one.Version)
	b.wantErr(t, "replace what is not there", err, store.ErrConflict)
	b.absent(t, "other")
	two := b.put(t, "k", Whole([]byte("two")), one.Version)
	if two.Version == one.Version {
		t.Error("the version stayed the same")
	}
	_, err = b.Put(t.Context(), b.dir+"k", Whole([]byte("three")), header, one.Version)
	b.wantErr(t, "replace an old version", err, store.ErrConflict)
	b.want(t, "k", []byte("two"))
	b.put(t, "k", Whole([]byte("four, longer")), two.Version)
	b.want(t, "k", []byte("four, longer"))
}
