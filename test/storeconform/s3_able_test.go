package storeconform

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/store"
	"ociproxy/internal/store/storetest"
	"ociproxy/test/parts"
)

// able is what a server can do, in the words of the table in docs/mirroring.md.
type able struct{ conditions, sums, hashes, lists, copies string }

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// try finds out what a server can do, from what the store logs and does.
func (s server) try(t *testing.T) able {
	t.Helper()
	var said bytes.Buffer
	b := s.open(t, s.url, store.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	err := b.Check(t.Context(), "inventory/probe/")
	t.Logf("check: %v\n%s", err, said.String())
	a := able{conditions: yes(err == nil), hashes: yes(!strings.Contains(said.String(), "compares no hashes"))}
	put, err := b.Put(t.Context(), "able", storetest.Whole([]byte("able")), store.BlobHeader, "")
	if err != nil {
		t.Logf("put: %v", err)
	}
	head, err := b.Head(t.Context(), "able")
	a.sums = yes(err == nil && head.SHA256 != "" && !strings.Contains(said.String(), "refuses checksums"))
	_, err = b.(store.Cleaner).Clean(t.Context(), "", time.Hour)
	t.Logf("clean: %v", err)
	a.lists = yes(err == nil)
	_, err = b.(store.Copier).CopyFrom(t.Context(), "copied", b, put, store.BlobHeader)
	t.Logf("copy: %v", err)
	a.copies = yes(err == nil)
	return a
}

// documented returns the server's row of the table.
func documented(t *testing.T, name string) able {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "mirroring.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` .*$`).FindString(string(text))
	cells := strings.Split(row, "|")
	if len(cells) < 8 || !strings.Contains(row, "| run |") {
		t.Fatalf("docs/mirroring.md has no row of %s that says it was run: %q", name, row)
	}
	word := func(i int) string { return strings.TrimRight(strings.Fields(cells[i])[0], ",;:") }
	return able{word(2), word(3), word(4), word(5), word(6)}
}

// The servers that run here can do what the documentation says about them.
func TestDocumentedServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) server{"versitygw": versitygw, "SeaweedFS": seaweedfsServer} {
		t.Run(name, func(t *testing.T) {
			if name == "SeaweedFS" {
				parts.Slow(t)
			}
			if got, want := start(t).try(t), documented(t, name); got != want {
				t.Errorf("it can %+v, docs/mirroring.md says %+v", got, want)
			}
		})
	}
}

// TestServer tries the server that OCIPROXY_TRY_S3 names, in the form of the config, for a row of the table.
func TestServer(t *testing.T) {
	url := os.Getenv("OCIPROXY_TRY_S3")
	if url == "" {
		t.Skip("OCIPROXY_TRY_S3 is not set")
	}
	t.Logf("%+v", server{url: url, getenv: os.Getenv}.try(t))
}
