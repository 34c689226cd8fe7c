package storeconform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
	"ociproxy/test/parts"
)

func TestSlowS3Faults(t *testing.T) {
	parts.Slow(t)
	s := versitygw(t)
	meetFaults(t, func(t *testing.T, transport http.RoundTripper) store.Bucket {
		return s.open(t, s.url, store.Options{Transport: transport, Parallel: 2})
	})
}

// step is a kind of request that a put makes.
type step string

const (
	stepPut      step = "put"
	stepBegin    step = "begin"
	stepPart     step = "part"
	stepComplete step = "complete"
	stepAbort    step = "abort"
)

func stepOf(r *http.Request) step {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return stepPart
	case r.Method == http.MethodPut:
		return stepPut
	case r.Method == http.MethodPost && q.Has("uploads"):
		return stepBegin
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return stepComplete
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return stepAbort
	}
	return ""
}

// storm makes requests of one kind meet the same fault, a number of times.
type storm struct {
	next http.RoundTripper
	step step
	kind fault

	mu    sync.Mutex
	times int
	hits  int
}

func (s *storm) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	hit := s.times > 0 && stepOf(r) == s.step
	if hit {
		s.times--
		s.hits++
	}
	s.mu.Unlock()
	if !hit {
		return s.next.RoundTrip(r)
	}
	return (&faulty{next: s.next, kind: s.kind, at: 1}).RoundTrip(r)
}

// A put survives a fault that occurs twice. A fault that stays ends in an error: then nothing wrong or short is
// visible, and the error does not blame another writer. When the fault is over, the next put ends with the object in
// place.
func TestSlowS3Storms(t *testing.T) {
	parts.Slow(t)
	s := versitygw(t)
	getenv := s.getenv
	s.getenv = func(name string) string {
		if name == "AWS_MAX_ATTEMPTS" {
			return "3"
		}
		return getenv(name)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	takes := parts.OneIn(10)
	small, large := noise(300_000), noise(20<<20)
	for _, c := range []struct {
		name  string
		data  []byte
		steps []step
	}{
		{"small", small, []step{stepPut}},
		{"large", large, []step{stepBegin, stepPart, stepComplete}},
	} {
		for _, at := range c.steps {
			for _, kind := range faults {
				for _, before := range []string{"", "before"} {
					for _, times := range []int{2, 1000} {
						if !takes() {
							continue
						}
						t.Run(fmt.Sprintf("%s/%s/%s/%q/%d", c.name, at, kind, before, times), func(t *testing.T) {
							t.Parallel()
							w := &storm{next: transport, step: at, kind: kind, times: times}
							w.rage(t, s.open(t, s.url, store.Options{Transport: transport}), s.open(t, s.url, store.Options{Transport: w}), c.data, before)
						})
					}
				}
			}
		}
	}
}

func (s *storm) rage(t *testing.T, good, bad store.Bucket, data []byte, before string) {
	key, version, times := "storms/"+fmt.Sprintf("%x", t.Name()), "", s.times
	key = key[:min(len(key), 200)]
	if before != "" {
		a, err := good.Put(t.Context(), key, storetest.Whole([]byte(before)), store.BlobHeader, "")
		if err != nil {
			t.Fatal(err)
		}
		version = a.Version
	}
	_, err := bad.Put(t.Context(), key, storetest.Whole(data), store.BlobHeader, version)
	if s.hits == 0 && s.kind != flipped {
		t.Fatal("the fault did not happen")
	}
	got := content(t, good, key)
	switch {
	case err == nil && !bytes.Equal(got, data):
		t.Errorf("put said yes, there are %d other bytes", len(got))
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		t.Errorf("put blames somebody else: %v", err)
	case !bytes.Equal(got, data) && string(got) != before:
		t.Errorf("put said %v, and %d wrong bytes are visible", err, len(got))
	case err != nil && times < 3 && s.kind != flipped:
		t.Errorf("put gave up: %v", err)
	}
	if err == nil {
		return
	}
	_, err = good.Put(t.Context(), key, storetest.Whole(data), store.BlobHeader, version)
	if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
		t.Fatalf("second put: %v", err)
	}
	if got := content(t, good, key); !bytes.Equal(got, data) {
		t.Errorf("after the second put (%v) there are %d other bytes", err, len(got))
	}
}

// content returns an object's content; nil means no object.
func content(t *testing.T, b store.Bucket, key string) []byte {
	t.Helper()
	body, _, err := b.Get(t.Context(), key, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
