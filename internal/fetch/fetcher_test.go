package fetch

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/outbound"
)

// origin is a server whose behaviour a test changes between requests.
type origin struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.HandlerFunc
	headers []http.Header
}

func (o *origin) set(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handler = h
}

// seen returns the headers of all requests so far.
func (o *origin) seen() []http.Header {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.headers)
}

func (o *origin) last() http.Header {
	all := o.seen()
	return all[len(all)-1]
}

func newOrigin(t *testing.T, h http.HandlerFunc) *origin {
	o := &origin{handler: h}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.headers = append(o.headers, r.Header.Clone())
		h := o.handler
		o.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// serve answers with body and a strong validator, and with 304 when the client has that body.
func serve(body, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, body)
	}
}

func (o *origin) source(t *testing.T) Source {
	return Source{URL: o.URL + "/doc", Cache: filepath.Join(t.TempDir(), "a", "doc"), Client: o.Client(), Timeout: time.Minute}
}

// get expects a body ("" means unchanged) and an error that contains fault ("" means no error).
func get(t *testing.T, f *Fetcher, body, fault string) error {
	t.Helper()
	b, changed, err := f.Get(t.Context())
	if string(b) != body || changed != (body != "") {
		t.Errorf("Get: body %q, changed %v; want %q", b, changed, body)
	}
	if (fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), fault) {
		t.Errorf("Get: error %v, want %q", err, fault)
	}
	return err
}

func TestConditional(t *testing.T) {
	o := newOrigin(t, serve("one", `"1"`))
	src := o.source(t)
	f := New(src)
	get(t, f, "one", "")
	get(t, f, "", "") // 304
	o.set(serve("one", `"2"`))
	get(t, f, "", "") // same bytes, new validator
	o.set(serve("two", `"3"`))
	get(t, f, "two", "")
	var sent []string
	for _, h := range o.seen() {
		sent = append(sent, h.Get("If-None-Match"))
	}
	if d := cmp.Diff([]string{"", `"1"`, `"1"`, `"2"`}, sent); d != "" {
		t.Errorf("If-None-Match (-want +got)\n%s", d)
	}

	t.Run("restart", func(t *testing.T) {
		g := New(src)
		get(t, g, "two", "") // from disk, after 304
		get(t, g, "", "")
		if all := o.seen(); all[len(all)-2].Get("If-None-Match") != `"3"` {
			t.Errorf("first request after a restart: If-None-Match %q", all[len(all)-2].Get("If-None-Match"))
		}
	})
	t.Run("load, then unchanged", func(t *testing.T) {
		g := New(src)
		body, checked, err := g.Load()
		if string(body) != "two" || time.Since(checked) > time.Minute || err != nil {
			t.Errorf("Load = %q, %v, %v", body, checked, err)
		}
		get(t, g, "", "")
	})
	t.Run("discard, then unconditional", func(t *testing.T) {
		g := New(src)
		g.Discard()
		get(t, g, "two", "")
		if h := o.last(); h.Get("If-None-Match") != "" {
			t.Error("conditional after Discard")
		}
	})
	t.Run("another URL, same key", func(t *testing.T) {
		src := src
		src.URL, src.Key = o.URL+"/moved", src.URL
		g := New(src)
		if _, _, err := g.Load(); err != nil {
			t.Error(err)
		}
		get(t, g, "", "")
		if h := o.last(); h.Get("If-None-Match") != "" {
			t.Error("validators of another URL were sent")
		}
	})
	t.Run("another document", func(t *testing.T) {
		src := src
		src.URL = o.URL + "/other"
		if _, _, err := New(src).Load(); err == nil {
			t.Error("a copy of another document was used")
		}
	})
}

func TestLastModified(t *testing.T) {
	const stamp = "Wed, 29 Jul 2026 07:05:53 GMT"
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", stamp)
		if r.Header.Get("If-Modified-Since") == stamp {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, "one")
	})
	f := New(o.source(t))
	get(t, f, "one", "")
	get(t, f, "", "")
}

// TestFaults shows that the last good copy stays after any fault, before and after a restart.
func TestFaults(t *testing.T) {
	text := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		handler   http.HandlerFunc
		fault     string
		temporary bool
	}{
		"500":          {text(500, "text/plain", "oops"), "status 500", true},
		"404":          {text(404, "text/plain", "gone"), "status 404", false},
		"206":          {text(206, "text/plain", "good"), "status 206", false},
		"429":          {text(429, "text/plain", "slow down"), "status 429", true},
		"empty":        {text(200, "text/plain", ""), "empty", false},
		"invalid":      {text(200, "text/plain", "bad"), "not good", false},
		"html by type": {text(200, "text/html; charset=utf-8", "good"), "HTML", false},
		"html by look": {text(200, "application/json", "\ufeff\n <!DOCTYPE html><title>Log in</title>"), "HTML", false},
		"too large":    {text(200, "text/plain", "good"+strings.Repeat(" ", 2000)), "larger than allowed", false},
		"too large unpacked": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "good"+strings.Repeat(" ", 100_000))
			_ = z.Close()
		}, "larger than allowed", false},
		"half": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "good")
		}, "unexpected EOF", true},
		"half gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "good")
			_ = z.Flush()
		}, "unexpected EOF", true},
		"encoding": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "good")
		}, "encoding", false},
		"304": {text(304, "", ""), "", false},
		"cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", true},
		"endless redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		}, "redirect refused", false},
		"slow": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded", true},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, serve("good", `"1"`))
			src := o.source(t)
			src.MaxBytes = 1000
			src.Timeout = time.Minute
			src.Validate = func(b []byte) error {
				if !strings.HasPrefix(string(b), "good") {
					return errors.New("not good")
				}
				return nil
			}
			if name == "slow" {
				src.Timeout = time.Second
			}
			f := New(src)
			get(t, f, "good", "")
			o.set(tt.handler)
			if err := get(t, f, "", tt.fault); Temporary(err) != tt.temporary {
				t.Errorf("Temporary(%v) = %v", err, !tt.temporary)
			}
			restarted := New(src)
			get(t, restarted, "good", tt.fault)
			get(t, restarted, "", tt.fault)
			o.set(serve("good again", `"2"`))
			get(t, f, "good again", "")
		})
	}
}

func TestFirstFault(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	f := New(o.source(t))
	get(t, f, "", "304 to a request without validators")
	o.Close()
	get(t, f, "", "connection refused")
}

func TestRedirects(t *testing.T) {
	o := newOrigin(t, serve("good", `"1"`))
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/down":
			http.Redirect(w, r, o.URL+"/doc", http.StatusFound)
		case "/up":
			http.Redirect(w, r, "/doc", http.StatusFound)
		default:
			_, _ = io.WriteString(w, "good")
		}
	}))
	t.Cleanup(secure.Close)
	client := secure.Client()
	get(t, New(Source{URL: secure.URL + "/up", Client: client}), "good", "")
	get(t, New(Source{URL: secure.URL + "/down", Client: client}), "", "redirect refused")
	if len(o.seen()) != 0 {
		t.Error("the http:// target was asked")
	}
	if client.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

func TestDamagedCache(t *testing.T) {
	for name, damage := range map[string]func(cache string) error{
		"body flipped": func(c string) error { return os.WriteFile(c, []byte("gooD"), 0o600) },
		"body cut":     func(c string) error { return os.Truncate(c, 2) },
		"body gone":    os.Remove,
		"body huge":    func(c string) error { return os.Truncate(c, DefaultMaxBytes+2) },
		"meta garbage": func(c string) error { return os.WriteFile(metaPath(c), []byte("{"), 0o600) },
		"meta gone":    func(c string) error { return os.Remove(metaPath(c)) },
		"meta is a directory": func(c string) error {
			return errors.Join(os.Remove(metaPath(c)), os.Mkdir(metaPath(c), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, serve("good", `"1"`))
			src := o.source(t)
			get(t, New(src), "good", "")
			if err := damage(src.Cache); err != nil {
				t.Fatal(err)
			}
			f := New(src)
			if _, _, err := f.Load(); err == nil {
				t.Error("Load accepted it")
			}
			b, _, err := f.Get(t.Context())
			if string(b) != "good" {
				t.Errorf("Get = %q, %v", b, err)
			}
			if o.seen()[1].Get("If-None-Match") != "" {
				t.Error("asked conditionally for what is not there")
			}
			if name != "meta is a directory" {
				if _, _, err := New(src).Load(); err != nil {
					t.Errorf("the copy was not repaired: %v", err)
				}
			}
		})
	}
}

func TestUnwritableCache(t *testing.T) {
	o := newOrigin(t, serve("one", `"1"`))
	src := o.source(t)
	blocker := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	src.Cache = filepath.Join(blocker, "doc") // below a file, where not even root can write
	f := New(src)
	var unkept *CacheError
	if err := get(t, f, "one", "keep last good copy"); !errors.As(err, &unkept) || Temporary(err) {
		t.Errorf("error %v (%T)", err, err)
	}
	get(t, f, "", "") // 304; the error is returned once
	o.set(serve("two", `"2"`))
	get(t, f, "two", "")
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	o.set(serve("three", `"3"`))
	get(t, f, "three", "")
	if b, _, err := New(src).Load(); string(b) != "three" {
		t.Errorf("once writable: %q, %v", b, err)
	}
}

func TestModes(t *testing.T) {
	o := newOrigin(t, serve("one", `"1"`))
	src := o.source(t)
	get(t, New(src), "one", "")
	got := map[string]fs.FileMode{}
	for _, name := range []string{filepath.Dir(src.Cache), src.Cache, metaPath(src.Cache)} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(name)] = info.Mode().Perm()
	}
	if d := cmp.Diff(map[string]fs.FileMode{"a": 0o755, "doc": 0o600, "doc.meta": 0o600}, got); d != "" {
		t.Errorf("modes (-want +got)\n%s", d)
	}
	left, err := os.ReadDir(filepath.Dir(src.Cache))
	if err != nil || len(left) != 2 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc")
	clock := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	write := func(body string) {
		t.Helper()
		clock = clock.Add(time.Second)
		if err := errors.Join(os.WriteFile(path, []byte(body), 0o600), os.Chtimes(path, clock, clock)); err != nil {
			t.Fatal(err)
		}
	}
	src := Source{File: path, MaxBytes: 10, Cache: filepath.Join(t.TempDir(), "copy"), Validate: func(b []byte) error {
		if string(b) == "bad" {
			return errors.New("not good")
		}
		return nil
	}}
	f := New(src)
	get(t, f, "", "no such file")
	write("one")
	get(t, f, "one", "")
	if !f.Checked().Equal(clock) {
		t.Errorf("Checked = %v, want the file's time %v", f.Checked(), clock)
	}
	get(t, f, "", "")
	write("one") // touched
	get(t, f, "", "")
	write("two")
	get(t, f, "two", "")
	write("bad")
	get(t, f, "", "not good")
	write("more than ten bytes")
	get(t, f, "", "larger")
	write("")
	get(t, f, "", "empty")
	get(t, New(src), "two", "empty") // after a restart, from the copy
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	get(t, f, "", "no such file")
	write("two")
	get(t, f, "", "")
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	get(t, f, "", "not a regular file")
}

func TestCancelled(t *testing.T) {
	o := newOrigin(t, serve("one", `"1"`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, changed, err := New(o.source(t)).Get(ctx); changed || !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, %v", changed, err)
	}
}

func ExampleFetcher_Get() {
	o := httptest.NewServer(serve(`{"hello":"world"}`, `"1"`))
	defer o.Close()
	f := New(Source{URL: o.URL, Client: o.Client()})
	for range 2 {
		body, changed, err := f.Get(context.Background())
		fmt.Printf("%q %v %v\n", body, changed, err)
	}
	// Output:
	// "{\"hello\":\"world\"}" true <nil>
	// "" false <nil>
}

// The error for a document that cannot be read says how to fix it.
func TestExplains(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer proxied.Close()
	for url, want := range map[string]string{secure.URL: outbound.CAVariable, proxied.URL: "the proxy for "} {
		_, _, err := New(Source{URL: url, Client: &http.Client{Transport: outbound.New(outbound.Options{})}}).Get(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}
