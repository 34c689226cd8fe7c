package store

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A request that gets on may take longer than the limit, one that stands still may not, in either direction.
func TestGuard(t *testing.T) {
	const limit = 600 * time.Millisecond
	tick := func(r *http.Request, d time.Duration) {
		select {
		case <-r.Context().Done():
		case <-time.After(d):
		}
	}
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/never":
			<-release
		case "/stops":
			w.Write(make([]byte, 1000))
			http.NewResponseController(w).Flush()
			<-release
		case "/slow":
			for range 6 {
				tick(r, limit/2)
				w.Write(make([]byte, window))
			}
		case "/takes":
			for range 30 { // the kernel takes some MiB at once, that then stand still
				tick(r, limit/12)
				io.CopyN(io.Discard, r.Body, 2*window)
			}
		case "/refuses":
			<-release
		}
	}))
	defer server.Close()
	defer close(release)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := Options{Timeout: limit, Transport: transport}.client()
	for path, c := range map[string]struct {
		send  int
		want  int
		stall bool
	}{
		"/never": {0, 0, true}, "/stops": {0, 1000, true}, "/slow": {0, 6 * window, false},
		"/takes": {60 * window, 0, false}, "/refuses": {64 * window, 0, true},
	} {
		t.Run(path[1:], func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+path, bytes.NewReader(make([]byte, c.send)))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			resp, err := client.Do(req)
			if err == nil {
				var got []byte
				got, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				n = len(got)
			}
			var s stalled
			if n != c.want || errors.As(err, &s) != c.stall {
				t.Errorf("%d bytes, %v; want %d, stalled %v", n, err, c.want, c.stall)
			}
		})
	}
}
