// Package gcs runs fake-gcs-server, an emulator of Google Cloud Storage, with one publicly readable bucket.
//
// Limits of the emulator: it has no projects; all its buckets are in the one configured region; it accepts a wrong
// checksum at the end of a resumable upload; it checks no credentials.
package gcs

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// Bucket is the name of the first bucket.
const Bucket = "blobs"

// Store is a running server with its bucket.
type Store struct {
	Addr string // host:port
	URL  string // http://host:port; an object is below /BUCKET/
}

// Start starts an empty store. region is where its buckets are, such as "us-central1".
func Start(t testing.TB, region string) *Store {
	t.Helper()
	s := &Store{Addr: parts.FreeAddr(t)}
	s.URL = "http://" + s.Addr
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "fake-gcs-server"),
		Args: []string{"-scheme", "http", "-host", host, "-port", port, "-filesystem-root", t.TempDir(), "-public-host", s.Addr,
			"-external-url", s.URL, "-location", strings.ToUpper(region), "-log-level", "warn"},
		Ready: parts.HTTP(s.URL+"/_internal/healthcheck", 200),
	})
	s.Make(t, Bucket)
	return s
}

// Make makes another bucket.
func (s *Store) Make(t testing.TB, bucket string) {
	t.Helper()
	body := strings.NewReader(`{"name":"` + bucket + `"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/storage/v1/b?project=test", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("make bucket %s: %s", bucket, resp.Status)
	}
}

// BucketURL returns the URL of a bucket for the config.
func (s *Store) BucketURL(bucket string) string { return "gs://" + bucket + "?endpoint=" + s.URL }

// BlobURL returns the URL of a bucket's blobs for the proxy's config, with {digest}.
func (s *Store) BlobURL(bucket string) string {
	return s.URL + "/" + bucket + "/containers/images/{digest}"
}
