package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/test/parts"
)

// eventually polls for what happens a moment after a client is done: servers write their access log last.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	parts.Poll(t, 5*time.Second, what, check)
}

func cutQuery(path string) (before, query string, found bool) { return strings.Cut(path, "?") }

func isBlob(path string) bool { return strings.Contains(path, "/blobs/") }

// do sends a request and follows redirects. The body is closed when the test ends.
func do(t *testing.T, method, url string, header http.Header) *http.Response {
	t.Helper()
	return doWith(t, http.DefaultClient, method, url, header)
}

func doWith(t *testing.T, client *http.Client, method, url string, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// noRedirect returns a client that does not follow redirects.
func noRedirect(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: outbound.NoRedirect,
	}
}
