// Package stores serves many stores with inventories on loopback, for benchmarks. Most digests are in all of them, in
// one shared segment, as mirrors leave it.
package stores

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

// Stores answers requests for /s<i>/inventory/… with inventories, and all others as a store that has the blob.
type Stores struct {
	*httptest.Server
	// Asked counts the requests for blobs.
	Asked atomic.Int64

	n int

	mu         sync.Mutex
	buckets    []*inventorytest.Bucket // any store serves the segments of all buckets
	refs       [][]inventory.SegmentRef
	shared     []inventory.SegmentRef
	generation uint64
	index      map[string]int // blobs by digest
}

// New starts n stores that list nothing yet.
func New(n int) *Stores {
	s := &Stores{n: n, refs: make([][]inventory.SegmentRef, n), index: map[string]int{}}
	s.Server = httptest.NewServer(s)
	return s
}

// blobSize is the size of every blob.
const blobSize = 24

// blob returns the content of blob i.
func blob(i int) []byte { return fmt.Appendf(nil, "blob %019d", i) }

// Digest returns the digest of blob i.
func Digest(i int) string {
	sum := sha256.Sum256(blob(i))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Share lists digests from..to-1 in all stores. List lists digests in one store only.
func (s *Stores) Share(ctx context.Context, from, to int) error {
	refs, err := s.write(ctx, from, to)
	s.mu.Lock()
	s.shared = append(s.shared, refs...)
	s.generation++
	s.mu.Unlock()
	return err
}

// List adds digests from..to-1 to store i.
func (s *Stores) List(ctx context.Context, i, from, to int) error {
	refs, err := s.write(ctx, from, to)
	s.mu.Lock()
	s.refs[i] = append(s.refs[i], refs...)
	s.generation++
	s.mu.Unlock()
	return err
}

func (s *Stores) write(ctx context.Context, from, to int) ([]inventory.SegmentRef, error) {
	records := make([]inventory.Record, 0, to-from)
	for i := from; i < to; i++ {
		d, err := oci.ParseDigest(Digest(i))
		if err != nil {
			return nil, err
		}
		records = append(records, inventory.Record{Digest: d, Size: blobSize, Kind: inventory.Blob})
	}
	b := &inventorytest.Bucket{}
	head, err := write.New(b, write.Options{Store: "segments"}).Apply(ctx, records...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets = append(s.buckets, b)
	for i := from; i < to; i++ {
		s.index[Digest(i)] = i
	}
	return head.Segments, nil
}

func (s *Stores) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		return // answer 200, as an upstream that is alive
	}
	var i int
	if _, err := fmt.Sscanf(r.URL.Path, "/s%d/", &i); err != nil || i < 0 || i >= s.n {
		http.NotFound(rw, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, rest, found := strings.Cut(r.URL.Path, "/inventory/")
	switch {
	case !found:
		s.Asked.Add(1)
		if b, ok := s.index[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]; ok {
			http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(blob(b)))
			return
		}
		http.NotFound(rw, r)
	case rest == "head.json":
		head := inventory.Head{Version: 1, Store: fmt.Sprint("s", i), Generation: s.generation, WrittenAt: time.Now().UTC(), Segments: append(append([]inventory.SegmentRef{}, s.shared...), s.refs[i]...)}
		_ = json.NewEncoder(rw).Encode(head)
	default:
		for _, b := range s.buckets {
			if o, ok := b.Object(rest); ok {
				_, _ = rw.Write(o.Body)
				return
			}
		}
		http.NotFound(rw, r)
	}
}

// Config returns the `stores:` list of a config. Store i is in place i of the list, modulo its length.
func (s *Stores) Config(places []string, refresh time.Duration) string {
	var b strings.Builder
	b.WriteString("stores:\n")
	for i := range s.n {
		fmt.Fprintf(&b, "  - {name: s%[1]d, place: %[2]s, serves: [aws], insecure: true, url: \"%[3]s/s%[1]d/b/{digest}\", inventory: {url: \"%[3]s/s%[1]d/inventory/\", refresh: %[4]s}}\n",
			i, places[i%len(places)], s.URL, refresh)
	}
	return b.String()
}
