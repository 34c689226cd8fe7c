package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

// testStore is a store on loopback that publishes an inventory.
type testStore struct {
	id     string
	bucket inventorytest.Bucket
	now    time.Time

	mu    sync.Mutex
	blobs map[string][]byte // by digest
}

// stores are the stores of a script, by the name of the variable that has the URL.
type stores map[string]*testStore

func storeOf(ts *testscript.TestScript, name string) *testStore {
	s := ts.Value(storesKey{}).(stores)[name]
	if s == nil {
		ts.Fatalf("there is no store %s", name)
	}
	return s
}

// storesKey is the key under which a script's stores are kept.
type storesKey struct{}

// start is the command store NAME ID [AGE]. It starts a store with an empty inventory that was written AGE ago, and
// puts its URL into NAME.
func start(ts *testscript.TestScript, _ bool, args []string) {
	s := &testStore{id: args[1], now: time.Now(), blobs: map[string][]byte{}}
	if len(args) > 2 {
		age, err := time.ParseDuration(args[2])
		ts.Check(err)
		s.now = s.now.Add(-age)
	}
	ts.Value(storesKey{}).(stores)[args[0]] = s
	srv := httptest.NewServer(s)
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
	s.write(ts)
}

// write adds records to the inventory.
func (s *testStore) write(ts *testscript.TestScript, records ...inventory.Record) {
	w := write.New(&s.bucket, write.Options{
		Store: s.id, TempDir: ts.MkAbs("."), Now: func() time.Time { return s.now },
	})
	_, err := w.Apply(context.Background(), records...)
	ts.Check(err)
}

// digestOf returns the digest of a text: sha512 if the text begins with "sha512", else sha256.
func digestOf(text string) oci.Digest {
	s := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	if strings.HasPrefix(text, "sha512") {
		s = fmt.Sprintf("sha512:%x", sha512.Sum512([]byte(text)))
	}
	d, err := oci.ParseDigest(s)
	if err != nil {
		panic(err)
	}
	return d
}

// hold NAME TEXT… puts blobs into a store and its inventory, in their own segment.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	s := storeOf(ts, args[0])
	var records []inventory.Record
	for _, text := range args[1:] {
		d := digestOf(text)
		s.set(d, []byte(text))
		records = append(records, inventory.Record{Digest: d, Size: int64(len(text)), Kind: inventory.Blob})
	}
	s.write(ts, records...)
}

// drop NAME TEXT… removes blobs from a store and its inventory.
func drop(ts *testscript.TestScript, _ bool, args []string) {
	s := storeOf(ts, args[0])
	for _, text := range args[1:] {
		s.write(ts, inventory.Record{Digest: digestOf(text), Kind: inventory.Tombstone})
		s.set(digestOf(text), nil)
	}
}

// damage is the command break NAME WHAT [TEXT]. It damages a part of a store without recording that in the inventory.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	s := storeOf(ts, args[0])
	first := func() (string, []byte) {
		keys := s.bucket.Keys(inventory.SegmentPrefix)
		o, _ := s.bucket.Object(keys[0])
		return keys[0], bytes.Clone(o.Body)
	}
	switch what := args[1]; what {
	case "head":
		s.bucket.Set(inventory.HeadName, []byte(`{"version": 9}`))
	case "bytes":
		key, body := first()
		body[len(body)-8] ^= 1
		s.bucket.Set(key, body)
	case "length":
		key, body := first()
		s.bucket.Set(key, body[:len(body)-1])
	case "order":
		key, body := first()
		half := (len(body) - 24) / 2
		s.bucket.Set(key, append(append(body[:24:24], body[24+half:]...), body[24:24+half]...))
	case "segments":
		for _, key := range s.bucket.Keys(inventory.SegmentPrefix) {
			ts.Check(s.bucket.Delete(context.Background(), key))
		}
	case "lost":
		s.set(digestOf(args[2]), nil)
	case "size":
		s.set(digestOf(args[2]), []byte(args[2]+"!"))
	case "content":
		s.set(digestOf(args[2]), bytes.ToUpper([]byte(args[2])))
	default:
		ts.Fatalf("break: what is %q", what)
	}
}

func (s *testStore) set(d oci.Digest, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d.String()] = body
}

// ServeHTTP serves /inventory/ and /blobs/, and 503 for /busy/.
func (s *testStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/inventory/") {
		http.StripPrefix("/inventory", &s.bucket).ServeHTTP(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/busy/") {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.mu.Lock()
	body := s.blobs[strings.TrimPrefix(r.URL.Path, "/blobs/")]
	s.mu.Unlock()
	if body == nil {
		w.WriteHeader(http.StatusForbidden) // like S3 without the right to list
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
