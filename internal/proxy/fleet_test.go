package proxy

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/existence"
)

// headStores answers HEAD in virtual time.
type headStores struct {
	takes func() time.Duration
	asked atomic.Int64
}

func (s *headStores) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	select {
	case <-time.After(s.takes()):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	status := http.StatusOK
	if strings.Contains(r.URL.Path, existence.Nowhere) {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, ContentLength: 1000, Request: r}, nil
}

// serve starts a server that asks these stores. It returns a function that asks as a client in Virginia and returns
// where the client is sent.
func (s *headStores) serve(t *testing.T) (ask func(path string) string) {
	t.Helper()
	text := strings.NewReplacer(`"US"`, "http://us.example", `"EU"`, "http://eu.example", "VA/", "http://va.example/", "CDN/", "http://cdn.example/",
		"checkTimeout: 5s", "checkTimeout: 1s", "serves: [internet]", "serves: [all]").Replace(yaml)
	cfg, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(Options{Config: cfg, Logger: slog.New(slog.DiscardHandler), Client: &http.Client{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		<-time.After(20 * time.Second) // checks that are running end
		server.Close()
	})
	handler := server.Handler()
	return func(path string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = "127.0.0.1:4711"
		r.Header.Set("X-Forwarded-For", awsClient)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Header().Get("Location")
	}
}

// A store that took more than 300 ms to answer lost every first blob, after the client had waited.
func TestAStoreThatAnswersSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := &headStores{takes: func() time.Duration { return 400 * time.Millisecond }}
		ask := stores.serve(t)
		var wg sync.WaitGroup
		for i := range 15 {
			wg.Go(func() {
				if to := ask("/v2/a/blobs/" + digestOf(i)); !strings.HasPrefix(to, "http://va.example/") {
					t.Errorf("a first blob: to %s", to)
				}
			})
		}
		wg.Wait()
	})
}

// A fleet behind one address, with a store that the proxy asks by HEAD, lost 95 of 100 blobs, most of them to the
// canonical registry.
func TestAFleetAndAStoreThatIsAskedByHead(t *testing.T) {
	for _, machines := range []int{10, 20, 100} {
		t.Run(fmt.Sprintf("%d machines", machines), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { headFleet(t, machines) })
		})
	}
}

func headFleet(t *testing.T, machines int) {
	const images, blobs = 20, 10
	stores := &headStores{takes: func() time.Duration { return time.Duration(1+rand.IntN(400)) * time.Millisecond }}
	ask := stores.serve(t)
	var past, canonical, all atomic.Int64
	blob := func(n int) {
		all.Add(1)
		if to := ask("/v2/a" + fmt.Sprint(n/blobs) + "/blobs/" + digestOf(n)); !strings.HasPrefix(to, "http://va.example/") {
			past.Add(1)
			if strings.HasPrefix(to, "http://us.example/") {
				canonical.Add(1)
			}
		}
	}
	var fleet sync.WaitGroup
	for range machines {
		fleet.Go(func() {
			for image := range images {
				<-time.After(time.Duration(rand.IntN(10_000)) * time.Millisecond)
				for at := 0; at < blobs; at += 3 { // three at once
					var layers sync.WaitGroup
					for n := at; n < min(at+3, blobs); n++ {
						layers.Go(func() { blob(image*blobs + n) })
					}
					layers.Wait()
				}
			}
		})
	}
	fleet.Wait()
	share := func(n int64) float64 { return 100 * float64(n) / float64(all.Load()) }
	t.Logf("%d of %d past the nearest (%.2f %%), %d to canonical (%.2f %%), %d checks", past.Load(), all.Load(), share(past.Load()), canonical.Load(),
		share(canonical.Load()), stores.asked.Load())
	// The proxy needs some redirects to recognize a fleet's address, and some blobs to learn how fast the store
	// answers.
	if past.Load() > 40 {
		t.Error("want at most 40 past the nearest")
	}
}
