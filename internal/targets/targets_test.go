package targets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/set"
	"ociproxy/internal/store"
	"ociproxy/internal/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sourceOf has blobs in memory.
type sourceOf map[string]string

func (s sourceOf) Open(_ context.Context, b transfer.Blob, off int64) (io.ReadCloser, error) {
	text, ok := s[b.Digest.String()]
	if !ok {
		return nil, transfer.ErrGone
	}
	return io.NopCloser(strings.NewReader(text[off:])), nil
}

func blobOf(t testing.TB, text string) transfer.Blob {
	t.Helper()
	d, err := oci.ParseDigest(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))))
	if err != nil {
		t.Fatal(err)
	}
	return transfer.Blob{Digest: d, Size: int64(len(text)), Repository: "app"}
}

// public is the public side of a directory: wrap changes what anonymous clients see.
func public(t testing.TB, dir string, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	h := http.FileServer(http.Dir(dir))
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func parse(t testing.TB, stores string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test", fmt.Appendf(nil, `version: 1
places: {onprem/a: {lat: 52.5, lon: 13.4, country: DE}}
upstreams: [{name: reg, url: "https://reg.example", place: gcp/us-central1, canonical: true}]
mirror: {source: reg, repositories: {list: [app]}, spool: {dir: %q}}
stores:
%s`, t.TempDir(), stores))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func storeAt(name, dir, url, rest string) string {
	return fmt.Sprintf(`  - {name: %s, place: onprem/a, url: "%s/containers/images/{digest}", bucket: "file://%s", serves: [all], insecure: true%s}
`, name, url, dir, rest)
}

func open(t testing.TB, cfg *config.Config, opt Options) *Set {
	t.Helper()
	f, err := Open(t.Context(), cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	f.anon.pause = time.Millisecond
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func mkdir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bucket")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpen(t *testing.T) {
	a, b, c, d := mkdir(t), mkdir(t), mkdir(t), mkdir(t)
	cfg := parse(t, storeAt("active", a, "http://a.example", "")+storeAt("filling", b, "http://b.example", ", state: filling")+
		storeAt("draining", c, "http://c.example", ", state: draining")+storeAt("off", d, "http://d.example", ", state: off")+
		`  - {name: none, place: onprem/a, url: "https://e.example/{digest}", serves: [all]}`)
	f := open(t, cfg, Options{})
	var names []string
	for _, s := range f.Stores {
		names = append(names, s.Name())
	}
	if diff := cmp.Diff([]string{"active", "filling"}, names); diff != "" {
		t.Errorf("written (-want +got)\n%s", diff)
	}
	if f.Index("filling") != 1 || f.Index("off") != -1 {
		t.Error("the index is wrong")
	}
	for _, only := range []string{"draining", "off", "none", "nonsense"} {
		if _, err := Open(t.Context(), cfg, Options{Only: []string{only}}); !errors.Is(err, ErrUnknownStore) {
			t.Errorf("only %s: %v", only, err)
		}
	}
	if _, err := Open(t.Context(), parse(t, `  - {name: none, place: onprem/a, url: "https://e.example/{digest}", serves: [all]}`), Options{}); !errors.Is(err, ErrNoStores) {
		t.Errorf("no stores: %v", err)
	}
}

func TestGroups(t *testing.T) {
	cfg := parse(t, `  - {name: a, place: aws/us-east-1, url: "https://a.example/{digest}", bucket: "s3://a?region=us-east-1", serves: [aws]}
  - {name: b, place: aws/eu-central-1, url: "https://b.example/{digest}", bucket: "s3://b?region=eu-central-1", serves: [aws]}
  - {name: c, place: aws/cn-north-1, url: "https://c.example/{digest}", bucket: "s3://c?region=cn-north-1", serves: [aws]}
  - {name: d, place: onprem/a, url: "https://d.example/{digest}", bucket: "s3://d?region=x&endpoint=https://seaweedfs.example", serves: [aws]}
  - {name: e, place: gcp/europe-west1, url: "https://e.example/{digest}", bucket: "gs://e", serves: [gcp]}
`)
	var groups, regions []string
	for i := range cfg.Stores {
		groups = append(groups, groupOf(cfg, &cfg.Stores[i]))
		regions = append(regions, RegionOf(&cfg.Stores[i]))
	}
	if groups[0] != groups[1] || groups[0] == groups[2] || groups[0] == groups[3] || groups[3] == groups[4] {
		t.Errorf("groups %q", groups)
	}
	if diff := cmp.Diff([]string{"us-east-1", "eu-central-1", "cn-north-1", "", "europe-west1"}, regions); diff != "" {
		t.Errorf("regions (-want +got)\n%s", diff)
	}
}

// What is wrong with a store is told in words, and nothing of a blob gets there.
func TestPreflight(t *testing.T) {
	answer := func(status int, header map[string]string, body string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				for k, v := range header {
					rw.Header().Set(k, v)
				}
				rw.WriteHeader(status)
				_, _ = io.WriteString(rw, body)
			})
		}
	}
	inventoryOnly := func(next func(http.Handler) http.Handler) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			bad := next(h)
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/inventory/") {
					bad.ServeHTTP(rw, r)
					return
				}
				h.ServeHTTP(rw, r)
			})
		}
	}
	other := `{"version":1,"store":"other","generation":9,"writtenAt":"2026-01-01T00:00:00Z","segments":[]}`
	for _, tt := range []struct {
		name string
		wrap func(http.Handler) http.Handler
		want string // in the error; "": fit
	}{
		{"good", nil, ""},
		{"private", answer(403, nil, ""), "not public: status 403"},
		{"elsewhere", answer(404, nil, ""), "another bucket or prefix"},
		{"other content", answer(200, nil, "{ }"), "something else"},
		{"page", answer(200, map[string]string{"Content-Type": "text/html"}, "<!DOCTYPE html>"), "a web page"},
		{"redirect", answer(302, map[string]string{"Location": "https://login.example/"}, ""), "redirects to login.example"},
		{"encoded", answer(200, map[string]string{"Content-Encoding": "gzip"}, "{}"), `Content-Encoding "gzip"`},
		{"broken", answer(500, nil, ""), "status 500"},
		{"no inventory", inventoryOnly(answer(404, nil, "")), "the inventory's URL"},
		{"page for inventory", inventoryOnly(answer(200, nil, "<!doctype html>")), "a web page, not the inventory"},
		{"foreign inventory", inventoryOnly(answer(200, nil, other)), `the inventory of "other"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := mkdir(t)
			url := public(t, dir, tt.wrap)
			text := "content"
			b := blobOf(t, text)
			f := open(t, parse(t, storeAt("s", dir, url, fmt.Sprintf(`, inventory: {url: "%s/inventory/"}`, url))), Options{Source: sourceOf{b.Digest.String(): text}})
			var got error
			for r := range f.Ensure(t.Context(), b, f.Ledger.Lacking(b.Digest)) {
				got = r.Err
			}
			_, held := f.Ledger.Holds(0, b.Digest)
			_, there := os.Stat(filepath.Join(dir, store.BlobKey(b.Digest)))
			if tt.want == "" {
				if got != nil || !held || there != nil {
					t.Errorf("error %v, recorded %v, there %v", got, held, there)
				}
				return
			}
			if !errors.Is(got, ErrUnready) || !errors.Is(got, store.ErrUnfit) || !strings.Contains(got.Error(), tt.want) {
				t.Errorf("error %v, want one of %q", got, tt.want)
			}
			if held || there == nil {
				t.Error("the blob was written all the same")
			}
		})
	}
}

// A store is examined once in a process, and again after a failure only in the next pass.
func TestFit(t *testing.T) {
	dir := mkdir(t)
	asked, bad := 0, true
	url := public(t, dir, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked++
			if bad {
				rw.WriteHeader(http.StatusForbidden)
				return
			}
			h.ServeHTTP(rw, r)
		})
	})
	cfg := parse(t, storeAt("s", dir, url, ""))
	fit := new(Fit)
	f := open(t, cfg, Options{Fit: fit})
	if err := f.Preflight(t.Context(), 0); err == nil || asked != lookTries {
		t.Fatalf("%v after %d looks", err, asked)
	}
	if err := f.Preflight(t.Context(), 0); err == nil || asked != lookTries {
		t.Fatalf("asked again: %v after %d looks", err, asked)
	}
	bad = false
	f.Begin()
	for range 2 {
		if err := f.Preflight(t.Context(), 0); err != nil || asked != lookTries+1 {
			t.Fatalf("%v after %d looks", err, asked)
		}
	}
	g := open(t, cfg, Options{Fit: fit})
	if err := g.Preflight(t.Context(), 0); err != nil || asked != lookTries+1 {
		t.Fatalf("another targets: %v after %d looks", err, asked)
	}
}

func TestEnsure(t *testing.T) {
	a, b := mkdir(t), mkdir(t)
	text := strings.Repeat("bytes ", 1000)
	blob, gone := blobOf(t, text), blobOf(t, "gone")
	cfg := parse(t, storeAt("a", a, public(t, a, nil), "")+storeAt("b", b, public(t, b, nil), ""))
	f := open(t, cfg, Options{Source: sourceOf{blob.Digest.String(): text}})
	all, failed := 0, 0
	for _, results := range []iter.Seq[Result]{
		f.Ensure(t.Context(), blob, f.Ledger.Lacking(blob.Digest)), f.Ensure(t.Context(), gone, f.Ledger.Lacking(gone.Digest)),
	} {
		for r := range results {
			all++
			if r.Err == nil {
				continue
			}
			failed++
			if !errors.Is(r.Err, transfer.ErrGone) {
				t.Errorf("store %d: %v", r.Target, r.Err)
			}
		}
	}
	if all != 4 {
		t.Errorf("%d results, want one for each blob and store", all)
	}
	if failed != 2 {
		t.Errorf("%d failed, want the blob that is gone in both stores", failed)
	}
	if lacks := f.Ledger.Lacking(blob.Digest); !lacks.Empty() {
		t.Errorf("lacking %v", lacks)
	}
	for _, dir := range []string{a, b} {
		got, err := os.ReadFile(filepath.Join(dir, store.BlobKey(blob.Digest)))
		if err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%s: %d bytes, %v", dir, len(got), err)
		}
	}
}

// What was recorded before the end is written by Close, even when the context has ended.
func TestCloseRecords(t *testing.T) {
	dir := mkdir(t)
	text := "content"
	b := blobOf(t, text)
	cfg := parse(t, storeAt("s", dir, public(t, dir, nil), ""))
	ctx, cancel := context.WithCancel(t.Context())
	f, err := Open(ctx, cfg, Options{Source: sourceOf{b.Digest.String(): text}})
	if err != nil {
		t.Fatal(err)
	}
	for r := range f.Ensure(ctx, b, f.Ledger.Lacking(b.Digest)) {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	cancel()
	if err := f.Close(ctx); err != nil {
		t.Fatal(err)
	}
	again := open(t, cfg, Options{})
	if _, ok := again.Ledger.Holds(0, b.Digest); !ok {
		t.Error("the record is lost")
	}
	if got := again.Ledger.Lacking(b.Digest); got != (set.Set{}) {
		t.Errorf("lacking %v", got)
	}
}

// What is wrong with a bucket names the line that has it, beside the bucket and the reason.
func TestWhere(t *testing.T) {
	t.Setenv("AWS_PROFILE", "")
	keys := func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}[name]
	}
	at := func(bucket string) *config.Config {
		return parse(t, fmt.Sprintf(`  - name: a
    place: onprem/a
    url: "https://a.example/containers/images/{digest}"
    serves: [all]
    bucket: %q
`, bucket))
	}
	nowhere, err := Open(t.Context(), at("s3://b"), Options{Getenv: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close(t.Context())
	if err := nowhere.Ledger.Fault(0); err == nil || !strings.Contains(err.Error(), "store a: ") || !strings.Contains(err.Error(), "no region") || !strings.HasSuffix(err.Error(), "(test:10)") {
		t.Errorf("%v: want the line", err)
	}
	f, err := Open(t.Context(), at("s3://b?region=r&endpoint=http://127.0.0.1:1"), Options{Getenv: keys, Only: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(t.Context())
	fault := f.Ledger.Fault(0)
	for _, want := range []string{"store a: ", "s3://b/", "connection refused", "no server listens", "(test:10)"} {
		if fault == nil || !strings.Contains(fault.Error(), want) {
			t.Errorf("%v: want %q", fault, want)
		}
	}
	if err := f.Preflight(t.Context(), 0); err == nil || strings.Count(err.Error(), "(test:10)") != 1 {
		t.Errorf("%v: want the line once", err)
	}
	dir := t.TempDir()
	gone, err := Open(t.Context(), at("file://"+dir), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close(t.Context())
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := gone.Look(t.Context(), 0); err == nil || !strings.HasSuffix(err.Error(), "(test:10)") {
		t.Errorf("looked at, and not there: %v: want the line", err)
	}
}

// A store that cannot be opened, for its profile, its key or its authorities, is at fault alone: the others are filled.
func TestOneUnusable(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "AZURE_") {
			t.Setenv(name, "")
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", empty)
	for name, tt := range map[string]struct {
		bucket string
		env    map[string]string
		want   string
	}{
		"no such profile":  {"s3://b?region=r&profile=missing", nil, "missing"},
		"a bad bundle":     {"s3://b?region=r", map[string]string{"AWS_CA_BUNDLE": empty}, "AWS_CA_BUNDLE: " + empty},
		"no number":        {"s3://b?region=r", map[string]string{"AWS_MAX_ATTEMPTS": "many"}, "AWS_MAX_ATTEMPTS"},
		"a key of no kind": {"azblob://acct/cont", map[string]string{"AZURE_STORAGE_KEY": "no base64!"}, "base64"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			dir, b := mkdir(t), blobOf(t, "layer")
			cfg := parse(t, storeAt("good", dir, public(t, dir, nil), "")+fmt.Sprintf(
				"  - {name: bad, place: onprem/a, url: \"https://bad.example/{digest}\", bucket: %q, serves: [all]}\n", tt.bucket))
			f := open(t, cfg, Options{Source: sourceOf{b.Digest.String(): "layer"}})
			fault := f.Ledger.Fault(f.Index("bad"))
			if fault == nil || !errors.Is(fault, store.ErrUnfit) || !strings.Contains(fault.Error(), tt.want) || !strings.Contains(fault.Error(), "store bad") {
				t.Errorf("%v: want %q in it", fault, tt.want)
			}
			var need set.Set
			need.Add(f.Index("good"))
			for r := range f.Ensure(t.Context(), b, need) {
				if r.Err != nil {
					t.Errorf("the good store: %v", r.Err)
				}
			}
		})
	}
}
