package count

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a client has read must be what was counted; of a client that went away, it must be between that and the whole.
func TestCounts(t *testing.T) {
	blob := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sha256:ab" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(blob)
	}))
	defer backend.Close()
	s := Start(t, "containers/images/", Options{Name: "s3", Shape: "s3", Bucket: "b", Backend: backend.URL + "/"})
	dialer := net.Dialer{Control: Narrow}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	defer client.CloseIdleConnections()
	type seen struct {
		Method, Range string
		Status        int
		Read          int64
		Aborted       bool
	}
	var want, got []seen
	for _, tt := range []struct {
		method, digest, ranges string
		limit                  int64 // of what is read; 0: all
	}{
		{"GET", "sha256:ab", "", 0}, {"HEAD", "sha256:ab", "", 0}, {"GET", "sha256:ab", "bytes=10-19", 0}, {"GET", "sha256:ab", "bytes=-5", 0},
		{"GET", "sha256:ab", "bytes=9999999-", 0}, {"GET", "sha256:cd", "", 0}, {"GET", "sha256:ab", "", 100_000}, {"GET", "sha256:ab", "", 0},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, strings.Replace(s.URL, "{digest}", tt.digest, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.ranges != "" {
			req.Header.Set("Range", tt.ranges)
		}
		req.Header.Set("X-Forwarded-For", "198.18.0.1")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = resp.Body
		if tt.limit > 0 {
			body = io.LimitReader(body, tt.limit)
		}
		n, err := io.Copy(io.Discard, body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want = append(want, seen{tt.method, tt.ranges, resp.StatusCode, n, tt.limit > 0})
		s.Requests(t) // ends before the next begins
	}
	for _, r := range s.Requests(t) {
		is := seen{r.Method, r.Range, r.Status, r.Sent, r.Aborted}
		if r.Aborted {
			if r.Sent < 100_000 || r.Sent > 400_000 {
				t.Errorf("%d bytes of an aborted download of 1 MiB, of which 100 000 bytes were read", r.Sent)
			}
			is.Read = 100_000
		}
		got = append(got, is)
		if r.Heading < 60 || r.Client.Addr().String() != "198.18.0.1" {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkCut(b *testing.B) {
	blob := make([]byte, 256<<10)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blob) }))
	defer backend.Close()
	s := Start(b, "x/", Options{Name: "s3", Backend: backend.URL + "/"})
	dialer := net.Dialer{Control: Narrow}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	b.SetBytes(int64(len(blob)))
	for b.Loop() {
		resp, err := client.Get(strings.Replace(s.URL, "{digest}", "a", 1))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}
