package storeconform

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
)

// trace records the steps of puts and their headers. It answers some requests itself.
type trace struct {
	next http.RoundTripper

	mu     sync.Mutex
	steps  []step
	heads  map[step]http.Header
	refuse int // how many Completes it answers with 409
}

func (tr *trace) RoundTrip(r *http.Request) (*http.Response, error) {
	at := stepOf(r)
	tr.mu.Lock()
	if at != "" {
		tr.steps = append(tr.steps, at)
		tr.heads[at] = r.Header.Clone()
	}
	refuse := at == stepComplete && tr.refuse > 0
	if refuse {
		tr.refuse--
	}
	tr.mu.Unlock()
	if refuse {
		return &http.Response{StatusCode: http.StatusConflict, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`<Error><Code>ConditionalRequestConflict</Code></Error>`))}, nil
	}
	return tr.next.RoundTrip(r)
}

func (tr *trace) count(s step) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, at := range tr.steps {
		if at == s {
			n++
		}
	}
	return n
}

func traced(t *testing.T, s server, opt store.Options) (*trace, store.Bucket) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	tr := &trace{next: transport, heads: map[step]http.Header{}}
	opt.Transport = tr
	return tr, s.open(t, s.url, opt)
}

// Each request has the headers that docs/mirroring.md lists.
func TestS3Requests(t *testing.T) {
	s := versitygw(t)
	tr, b := traced(t, s, store.Options{Owner: "test", Parallel: 1})
	for key, n := range map[string]int{"small": 1000, "large": 33 << 20} {
		if _, err := b.Put(t.Context(), key, storetest.Whole(noise(n)), store.BlobHeader, ""); err != nil {
			t.Fatal(err)
		}
	}
	small := storetest.Whole(noise(1000))
	if got := tr.heads[stepPut].Get("X-Amz-Content-Sha256"); got != small.SHA256() {
		t.Errorf("the signed hash of the body is %q, want the digest", got)
	}
	for at, want := range map[step][]string{
		stepPut:      {"X-Amz-Checksum-Sha256", "If-None-Match", "Cache-Control", "Content-Type", "X-Amz-Expected-Bucket-Owner"},
		stepBegin:    {"X-Amz-Checksum-Algorithm", "Cache-Control", "Content-Type", "X-Amz-Expected-Bucket-Owner"},
		stepPart:     {"X-Amz-Checksum-Sha256", "X-Amz-Expected-Bucket-Owner"},
		stepComplete: {"If-None-Match", "X-Amz-Expected-Bucket-Owner"},
	} {
		for _, name := range want {
			if tr.heads[at].Get(name) == "" {
				t.Errorf("%s has no %s", at, name)
			}
		}
		if got := tr.heads[at].Get("Content-Encoding"); got != "" {
			t.Errorf("%s has Content-Encoding %q", at, got)
		}
	}
	if n := tr.count(stepPart); n != 3 {
		t.Errorf("33 MiB went in %d parts, want 3", n)
	}
}

// An upload whose last step conflicts with another writer (409) is begun again, and no upload is left behind.
func TestS3Conflict(t *testing.T) {
	s := versitygw(t)
	tr, b := traced(t, s, store.Options{Parallel: 1})
	tr.refuse = 2
	data := noise(17 << 20)
	if _, err := b.Put(t.Context(), "k", storetest.Whole(data), store.BlobHeader, ""); err != nil {
		t.Fatal(err)
	}
	once := []step{stepBegin, stepPart, stepPart, stepComplete}
	want := append(append(append(append(append([]step{}, once...), stepAbort), once...), stepAbort), once...)
	if diff := cmp.Diff(want, tr.steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if n, err := b.(store.Cleaner).Clean(t.Context(), "", 0); n != 0 || err != nil {
		t.Errorf("%d uploads are left, %v", n, err)
	}
}

// Parts are uploaded before the complete content has arrived, but only bytes that have arrived.
func TestS3EarlyParts(t *testing.T) {
	s := versitygw(t)
	tr, b := traced(t, s, store.Options{Parallel: 3})
	c := storetest.NewStream(noise(40 << 20))
	done := make(chan error, 1)
	go func() {
		_, err := b.Put(t.Context(), "k", c, store.BlobHeader, "")
		done <- err
	}()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, have := range []struct {
		bytes int64
		parts int
	}{{16<<20 - 1, 0}, {16 << 20, 1}, {32 << 20, 2}} {
		c.Arrive(have.bytes)
		for tr.count(stepPart) < have.parts {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%d bytes have arrived, %d parts were sent", have.bytes, tr.count(stepPart))
			}
		}
		if n := tr.count(stepPart); n > have.parts {
			t.Errorf("%d bytes have arrived, %d parts were sent", have.bytes, n)
		}
	}
	c.Arrive(c.Size())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
