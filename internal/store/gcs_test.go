package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/google/go-cmp/cmp"
)

// script answers requests by their method and the start of their path, with one answer after the other, and records all
// requests.
type script struct {
	mu      sync.Mutex
	answers map[string][]http.HandlerFunc // the last one is repeated
	seen    []string                      // method, path and query
	headers []http.Header
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+r.URL.RequestURI())
	s.headers = append(s.headers, r.Header)
	var next http.HandlerFunc
	for begin, answers := range s.answers {
		if strings.HasPrefix(r.Method+" "+r.URL.Path, begin) {
			next = answers[0]
			if len(answers) > 1 {
				s.answers[begin] = answers[1:]
			}
		}
	}
	s.mu.Unlock()
	if next == nil {
		next = status(http.StatusTeapot)
	}
	next(w, r)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func object(format string, args ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, format, args...)
	}
}

// scripted starts a server for a script, and opens the bucket; %s in its URL stands for the server's URL.
func scripted(t *testing.T, s *script, url string, opt Options) Bucket {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	opt.Transport = transport
	if opt.Getenv == nil {
		opt.Getenv = func(string) string { return "" }
	}
	b, err := Open(t.Context(), fmt.Sprintf(url, server.URL), opt)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGCSRegion(t *testing.T) {
	for _, c := range []struct {
		location, kind, region string
		want                   string // "" means no error
	}{
		{"US-CENTRAL1", "region", "us-central1", ""},
		{"us-central1", "", "US-Central1", ""},
		{"EU", "multi-region", "", ""},
		{"EUROPE-WEST1", "region", "europe-west4", "lies in europe-west1, not in region europe-west4"},
		{"EU", "multi-region", "europe-west4", "lies in eu, a multi-region, not in region europe-west4"},
		{"NAM4", "dual-region", "us-central1", "lies in nam4, a dual-region, not in region us-central1"},
	} {
		err := gcsRegion(&storage.BucketAttrs{Location: c.location, LocationType: c.kind}, c.region)
		switch {
		case c.want == "" && err != nil, c.want != "" && (!errors.Is(err, ErrUnfit) || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%s for %s: %v, want %q", c.location, c.region, err, c.want)
		}
	}
}

// A bucket of another owner, or one that we may not read, is refused before anything is written.
func TestGCSCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
		text   string
	}{
		{"another's", object(`{"projectNumber":"13","location":"US-EAST1"}`), ErrUnfit, "belongs to project number 13, not 12"},
		{"elsewhere", object(`{"projectNumber":"12","location":"US","locationType":"multi-region"}`), ErrUnfit, "lies in us, a multi-region"},
		{"forbidden", status(http.StatusForbidden), ErrDenied, "403"},
		{"missing", status(http.StatusNotFound), ErrUnfit, "no such bucket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{answers: map[string][]http.HandlerFunc{"GET /storage/v1/b/name": {c.answer}}}
			err := scripted(t, s, "gs://name?endpoint=%s", Options{Owner: "12", Region: "us-east1"}).Check(t.Context(), "inventory/probe/")
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %v with %q", err, c.want, c.text)
			}
			if len(s.seen) != 1 {
				t.Errorf("requests: %q", s.seen)
			}
		})
	}
}

// crcText returns a CRC32C as the JSON API writes it.
func crcText(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// If a store takes the bytes but answers with another checksum, the object is wrong: Put removes it, by its generation,
// and returns an error after three tries.
func TestGCSWrongChecksum(t *testing.T) {
	s := &script{answers: map[string][]http.HandlerFunc{
		"POST /upload/":   {object(`{"name":"k","size":"5","generation":"77","crc32c":%q}`, crcText(1))},
		"DELETE /storage": {status(http.StatusNoContent)},
	}}
	b := scripted(t, s, "gs://name?endpoint=%s", Options{})
	if _, err := b.Put(t.Context(), "k", Bytes([]byte("hello")), BlobHeader, ""); err == nil || !strings.Contains(err.Error(), "removed again") {
		t.Errorf("put: %v", err)
	}
	var deletes int
	for _, request := range s.seen {
		if strings.HasPrefix(request, "DELETE ") {
			deletes++
			if !strings.Contains(request, "generation=77") {
				t.Errorf("%s: not by its generation", request)
			}
		} else if !strings.Contains(request, "ifGenerationMatch=0") {
			t.Errorf("%s: may overwrite", request)
		}
	}
	if deletes != gcsTries {
		t.Errorf("%d deletes, want %d", deletes, gcsTries)
	}
}

func TestGCSCopy(t *testing.T) {
	data := Bytes([]byte("hello"))
	crc := data.CRC32C()
	from := Attrs{Key: "k", Size: 5, Version: "77", CRC32C: &crc}
	more := object(`{"done":false,"rewriteToken":"t1","totalBytesRewritten":"2","objectSize":"5"}`)
	done := func(crc uint32) http.HandlerFunc {
		return object(`{"done":true,"resource":{"name":"to/k","size":"5","generation":"99","crc32c":%q}}`, crcText(crc))
	}
	for _, c := range []struct {
		name    string
		answers []http.HandlerFunc
		want    error // errRemoved, nil, …
		last    string
	}{
		{"at once", []http.HandlerFunc{done(crc)}, nil, "POST"},
		{"in steps", []http.HandlerFunc{more, done(crc)}, nil, "rewriteToken=t1"},
		{"exists", []http.HandlerFunc{status(http.StatusPreconditionFailed)}, ErrExists, "POST"},
		{"source changed", []http.HandlerFunc{status(http.StatusNotFound)}, ErrNotFound, "POST"},
		{"forbidden", []http.HandlerFunc{status(http.StatusForbidden)}, ErrCannotCopy, "POST"},
		{"wrong", []http.HandlerFunc{done(crc + 1)}, errRemoved, "DELETE /storage/v1/b/to/o/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{answers: map[string][]http.HandlerFunc{
				"POST /storage/v1/b/from/o/deep/k/rewriteTo/b/to/o/to/k": c.answers,
				"DELETE /storage": {status(http.StatusNoContent)},
			}}
			to := scripted(t, s, "gs://to?endpoint=%s", Options{})
			src := &gcs{name: "from", prefix: "deep/", endpoint: to.(*gcs).endpoint}
			got, err := to.(Copier).CopyFrom(t.Context(), "to/k", src, from, BlobHeader)
			if !errors.Is(err, c.want) || c.want == nil && (got.Version != "99" || *got.CRC32C != crc) {
				t.Errorf("%+v, %v, want %v", got, err, c.want)
			}
			if !strings.Contains(s.seen[0], "ifGenerationMatch=0") || !strings.Contains(s.seen[0], "sourceGeneration=77") {
				t.Errorf("%s: without the conditions", s.seen[0])
			}
			if last := s.seen[len(s.seen)-1]; !strings.Contains(last, c.last) {
				t.Errorf("the last request was %s, want one with %s", last, c.last)
			}
		})
	}
	t.Run("another service", func(t *testing.T) {
		b := &gcs{name: "a", endpoint: "http://127.0.0.1:1"}
		if b.CopiesFrom(&gcs{name: "b"}) || b.CopiesFrom(&azure{}) {
			t.Error("copies from another service")
		}
		if _, err := b.CopyFrom(t.Context(), "k", &gcs{name: "b"}, from, BlobHeader); !errors.Is(err, ErrCannotCopy) {
			t.Errorf("%v, want ErrCannotCopy", err)
		}
	})
}

func TestGCSNames(t *testing.T) {
	for url, want := range map[string]string{
		"gs://name":      "gs://name",
		"gs://name/":     "gs://name",
		"gs://name/a/b/": "gs://name/a/b",
		"gs://name/a?endpoint=http://127.0.0.1:1/": "gs://name/a",
		"gs://":              "error",
		"gs:///a":            "error",
		"gs://name/a/../b":   "error",
		"gs://name?region=x": "error",
		"gs://u:p@name":      "error",
	} {
		b, err := Open(t.Context(), url, Options{Getenv: func(string) string { return "" }})
		got := "error"
		if err == nil {
			got = b.String()
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: the password is shown: %v", url, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
	}
}

// Anyone with the id of an upload may write the object, so no message contains it.
func TestGCSUploadIDStaysSecret(t *testing.T) {
	s := &script{answers: map[string][]http.HandlerFunc{"POST /upload/": {
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://"+r.Host+"/upload/storage/v1/b/name/o?uploadType=resumable&upload_id=SECRET")
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}}}
	b := scripted(t, s, "gs://name?endpoint=%s", Options{})
	_, err := b.Put(t.Context(), "key", Bytes(make([]byte, 9<<20)), Header{}, "")
	if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v", err)
	}
}
