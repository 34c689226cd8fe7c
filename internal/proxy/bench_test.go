package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func getAs(client, path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", client)
	return r
}

func benchWorld(tb testing.TB) *testWorld {
	return newWorld(tb, "limits:", "log: {requests: 0}\nlimits:")
}

// settleRepeats asks until the store has been checked and repeats count as a fleet's. This is the usual state.
func (w *testWorld) settleRepeats(tb testing.TB, h http.Handler, r *http.Request) {
	rw := &discard{http.Header{}}
	poll(tb, "a settled fleet", func() bool {
		h.ServeHTTP(rw, r)
		return !strings.Contains(r.URL.Path, "/blobs/") || rw.h.Get("Location") == w.va.URL+"/b/"+digest
	})
}

var hotPaths = map[string]struct{ client, path string }{
	"blob": {awsClient, "/v2/a/b/blobs/" + digest},
	"tag":  {awsClient, "/v2/a/b/manifests/v1.2.3"},
}

// A redirect makes two allocations: its Location, and the header value that holds it.
func TestRequestPathAllocations(t *testing.T) {
	w := benchWorld(t)
	h := w.server.Handler()
	for name, p := range hotPaths {
		t.Run(name, func(t *testing.T) {
			r, rw := getAs(p.client, p.path), &discard{http.Header{}}
			h.ServeHTTP(rw, r) // the one check
			w.settleRepeats(t, h, r)
			if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(rw, r) }); n > 2 {
				t.Errorf("%v allocations, want at most 2", n)
			}
		})
	}
}

// BenchmarkListed measures requests of many clients for a blob that an inventory lists.
func BenchmarkListed(b *testing.B) {
	w, _ := listedWorld(b, digest)
	w.server.wiring.Load().cfg.Log.Requests = 0
	h := w.server.Handler()
	var requests []*http.Request
	for i := range 4096 {
		requests = append(requests, getAs(fmt.Sprintf("2001:db8:%x::1", i), "/v2/a/b/blobs/"+digest))
	}
	rw := &discard{http.Header{}}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.ServeHTTP(rw, requests[i&4095])
		i++
	}
}

func BenchmarkHandler(b *testing.B) {
	w := benchWorld(b)
	h := w.server.Handler()
	for name, p := range hotPaths {
		b.Run(name, func(b *testing.B) {
			r, rw := getAs(p.client, p.path), &discard{http.Header{}}
			h.ServeHTTP(rw, r)
			w.settleRepeats(b, h, r)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(rw, r)
			}
		})
	}
}
