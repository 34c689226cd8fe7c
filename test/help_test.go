package test

import (
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// eventually waits for what happens a moment after a client is done: servers write their access log last.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	parts.Poll(t, 10*time.Second, what, check)
}

func cutQuery(path string) (before, query string, found bool) { return strings.Cut(path, "?") }

func isBlob(path string) bool { return strings.Contains(path, "/blobs/") }
