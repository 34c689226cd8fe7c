package status_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/status"
	"ociproxy/internal/store"
	"ociproxy/test/azure"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
)

// TestSlowKinds: the status can lie in other kinds of buckets than S3. Probes that write at the same time lose nothing,
// and the page is what the last of them wrote. None begins anew ten times: the others do not write as often.
func TestSlowKinds(t *testing.T) {
	parts.Slow(t)
	for kind, start := range map[string]func(t *testing.T) (url string, getenv func(string) string){
		"gcs": func(t *testing.T) (string, func(string) string) {
			s := gcs.Start(t, "europe-west1")
			s.Make(t, "status")
			return s.BucketURL("status"), nil
		},
		"azure": func(t *testing.T) (string, func(string) string) {
			s := azure.Start(t)
			s.Make(t, "status")
			return s.BucketURL("status"), azure.Getenv
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url, getenv := start(t)
			var all sync.WaitGroup
			for i := range 3 {
				b, err := store.Open(t.Context(), url, store.Options{Getenv: getenv})
				if err != nil {
					t.Fatal(err)
				}
				w, err := status.New(status.Options{Bucket: b, Name: "registry.example.org", Vantage: fmt.Sprintf("vantage %d", i), Every: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					for range 4 {
						err := w.Record(t.Context(), &probe.Report{Findings: []probe.Finding{{Check: "ping", As: probe.Self.Name, Result: judge.OK}}})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			b, err := store.Open(t.Context(), url, store.Options{Getenv: getenv})
			if err != nil {
				t.Fatal(err)
			}
			d := read(t, b)
			for _, v := range d.Names[0].Vantages {
				if runs, _ := d.runs(v.Vantage); runs != 4 || v.State != "up" {
					t.Errorf("%s: %d runs, %s", v.Vantage, runs, v.State)
				}
			}
			if n := len(d.Names[0].Vantages); n != 3 {
				t.Errorf("%d vantages", n)
			}
		})
	}
}

// read returns the document that is in a bucket, and compares the page with it.
func read(t *testing.T, b store.Bucket) (d document) {
	t.Helper()
	texts := map[string]string{}
	for _, key := range []string{status.DocumentKey, status.PageKey} {
		body, at, err := b.Get(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if texts[key] = string(text); at.CacheControl != "public, max-age=30" {
			t.Errorf("%s: Cache-Control %q", key, at.CacheControl)
		}
	}
	if err := json.Unmarshal([]byte(texts[status.DocumentKey]), &d); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("data-revision=\"%d\"", d.Revision); !strings.Contains(texts[status.PageKey], want) {
		t.Errorf("the page has not %s: %.200s", want, texts[status.PageKey])
	}
	return d
}
