package check

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
)

func TestGoodWorld(t *testing.T) {
	im := newImage()
	w := newWorld(t, im.registry())
	w.upstream("replica", im.registry(), false)
	w.store("s3", im.store())
	r := w.live()
	if r.Errors != 0 || r.Warnings != 0 {
		t.Errorf("%d errors, %d warnings in a good world: %+v", r.Errors, r.Warnings, r.Findings)
	}
	for _, check := range []string{"ipv4", "ipv6", "absent.get", "absent.head", "head", "get", "cache-control", "range", "range.open", "range.past-end"} {
		expect(t, r, "s3", check, OK, "", "")
	}
	expect(t, r, "s3", "range.multi", Info, "206 multipart", "")
	for _, u := range []string{"canon", "replica"} {
		for _, check := range []string{"ipv4", "ipv6", "absent.manifest", "absent.blob", "manifest", "manifest.head", "head", "get", "range.open"} {
			expect(t, r, u, check, OK, "", "")
		}
	}
	if want := []string{"app/web:1.0"}; !slices.Equal(r.Images, want) {
		t.Errorf("images = %q, want %q", r.Images, want)
	}
}

// TestStoreFaults puts one fault at a time into a good store.
func TestStoreFaults(t *testing.T) {
	const login = "https://login.example.test/sso?token=SECRET"
	tests := []struct {
		name string
		// fault answers the request itself and returns true, or leaves it to the good store.
		fault  func(im *image, w http.ResponseWriter, r *http.Request) bool
		edit   func(w *world, s *config.Store)
		check  string
		result Result
		detail string
		hint   string
	}{
		{name: "asks for a login", fault: always(401), check: "absent.get", result: Failed, detail: "401", hint: "without credentials"},
		{name: "asks for a login, read", fault: always(401), check: "head", result: Failed, detail: "401", hint: "without credentials"},
		{name: "redirects to a login page", fault: redirect(login), check: "absent.get", result: Failed, detail: "login page, https://login.example.test/sso", hint: "anonymous reads"},
		{name: "redirects", fault: redirect("https://other.example.test/b?sig=SECRET"), check: "absent.head", result: Failed, detail: "redirects to https://other.example.test/b", hint: "final address"},
		{name: "web page for anything", fault: page, check: "absent.get", result: Failed, detail: "200 with an HTML page", hint: "error pages"},
		{name: "web page for a blob", fault: page, check: "head", result: Failed, detail: "HTML page", hint: "web page would be handed out as a layer"},
		{name: "200 to a made-up digest", fault: madeUpOnly(writeOK), check: "absent.get", result: Failed, detail: "200 for a digest that does not exist", hint: "403 or 404"},
		{name: "500 for a made-up digest", fault: madeUpOnly(status(500)), check: "absent.get", result: Failed, detail: "500", hint: "server's own log"},
		{name: "400 for a made-up digest", fault: madeUpOnly(status(400)), check: "absent.head", result: Failed, detail: "400", hint: "403 or 404"},
		{name: "404 for a made-up digest", fault: madeUpOnly(status(404)), check: "absent.get", result: OK, detail: "404"},
		{name: "429", fault: madeUpOnly(status(429)), check: "absent.get", result: Failed, detail: "rate limited", hint: "quota"},
		{name: "no HEAD", fault: method("HEAD", 405), check: "absent.head", result: Failed, detail: "405", hint: "GET and HEAD"},
		{name: "no HEAD, GET still checked", fault: method("HEAD", 405), check: "get", result: OK},
		{name: "hangs", fault: hang, check: "connect", result: Failed, detail: "nothing else was asked", hint: "firewall"},
		{name: "hangs on GET", fault: method("GET", 0), check: "absent.get", result: Failed, detail: "no answer within 1s", hint: "firewall"},
		{name: "hangs on ranges, given up", fault: ranges(func(im *image, w http.ResponseWriter, r *http.Request) { hang(im, w, r) }), check: "range.multi", result: Warning, detail: "not asked: 3 requests", hint: "firewall"},
		{name: "200 to a range", fault: ranges(func(im *image, w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			im.store().ServeHTTP(w, r)
		}), check: "range.open", result: Failed, detail: "200 to a range request", hint: "resume"},
		{name: "wrong Content-Range", fault: ranges(func(_ *image, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-1/2")
			w.WriteHeader(206)
		}), check: "range", result: Failed, detail: `Content-Range "bytes 0-1/2"`, hint: "RFC 9110"},
		{name: "other bytes in a range", fault: ranges(func(im *image, w http.ResponseWriter, r *http.Request) {
			im.store().ServeHTTP(&flip{ResponseWriter: w}, r)
		}), check: "range", result: Failed, detail: "other bytes", hint: "RFC 9110"},
		{name: "500 past the end", fault: pastTheEnd(500), check: "range.past-end", result: Failed, detail: "500"},
		{name: "204 past the end", fault: pastTheEnd(204), check: "range.past-end", result: Warning, detail: "want 416", hint: "RFC 9110"},
		{name: "416 past the end with the blob's length", fault: brokenPastTheEnd(416), check: "range.past-end", result: Warning,
			detail: "416 to a range past the end, with Content-Length", hint: "distribution 2.x"},
		{name: "404 past the end with the blob's length", fault: brokenPastTheEnd(404), check: "range.past-end", result: Failed, detail: "breaks off"},
		{name: "200 past the end", fault: pastTheEnd(200), check: "range.past-end", result: Info, detail: "416 is usual"},
		{name: "one range at a time", fault: multiRange(200), check: "range.multi", result: Info, detail: "not supported"},
		{name: "refuses several ranges", fault: multiRange(416), check: "range.multi", result: Info, detail: "refused"},
		{name: "fails on several ranges", fault: multiRange(503), check: "range.multi", result: Warning, detail: "503", hint: "server"},
		{name: "wrong bytes", fault: wholeGet(func(im *image, w http.ResponseWriter, r *http.Request) {
			im.store().ServeHTTP(&flip{ResponseWriter: w}, r)
		}), check: "get", result: Failed, detail: "hash to", hint: "mirror it again"},
		{name: "breaks off", fault: wholeGet(func(im *image, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(im.blobs[base(r)])))
			_, _ = w.Write(im.blobs[base(r)][:3])
		}), check: "get", result: Failed, detail: "breaks off after 3 bytes", hint: "check name"},
		{name: "wrong Content-Length", fault: func(im *image, w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodHead || im.isMadeUp(r) {
				return false
			}
			w.Header().Set("Content-Length", "7")
			return true
		}, check: "head", result: Failed, detail: "Content-Length 7", hint: "mirror it again"},
		{name: "no Content-Length", fault: wholeGet(func(im *image, w http.ResponseWriter, r *http.Request) {
			b := im.blobs[base(r)]
			_, _ = w.Write(b[:1])
			w.(http.Flusher).Flush()
			_, _ = w.Write(b[1:])
		}), check: "get", result: Warning, detail: "no Content-Length", hint: "Content-Length"},
		{name: "compresses", fault: wholeGet(func(im *image, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(im.blobs[base(r)])
			_ = z.Close()
		}), check: "get", result: Failed, detail: "Content-Encoding: gzip", hint: "no-transform"},
		{name: "no Cache-Control", fault: wholeGet(func(im *image, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(im.blobs[base(r)]))
		}), check: "cache-control", result: Warning, detail: "no Cache-Control", hint: "immutable"},
		{name: "not to be cached", fault: wholeGet(func(im *image, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "private, no-store")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(im.blobs[base(r)]))
		}), check: "cache-control", result: Warning, detail: "private", hint: "immutable"},
		{name: "ignores an id", edit: withID, check: "x-rid", result: OK, detail: "ignores the id"},
		{name: "refuses an id", edit: withID, fault: func(_ *image, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.RawQuery != "" {
				w.WriteHeader(400)
			}
			return r.URL.RawQuery != ""
		}, check: "x-rid", result: Failed, detail: "400", hint: "remove requestID"},
		{name: "a CDN with the id in its key", edit: withID, fault: func(_ *image, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.RawQuery != "" {
				w.Header().Set("X-Cache", "Miss from cloudfront")
			}
			return false
		}, check: "x-rid", result: Warning, detail: "each id seems to make a copy", hint: "out of the CDN's cache key"},
		{name: "private bucket", fault: always(403), check: "head", result: Failed, detail: "403 for 3 of 3", hint: "private bucket"},
		{name: "holds nothing", fault: always(404), check: "head", result: Warning, detail: "404 for 3 blobs", hint: "mirror the image"},
		{name: "being filled", fault: always(403), edit: func(_ *world, s *config.Store) { s.State = config.Filling },
			check: "head", result: Warning, detail: "403", hint: "mirror"},
		{name: "off", edit: func(_ *world, s *config.Store) { s.State = config.Off }, check: "state", result: Info, detail: "not asked"},
		{name: "no IPv6", edit: func(w *world, _ *config.Store) { delete(w.hosts["store.test"], "ip6") },
			check: "ipv6", result: Warning, detail: "store.test has no AAAA record", hint: "dualstack"},
		{name: "no IPv4", edit: func(w *world, _ *config.Store) { delete(w.hosts["store.test"], "ip4") },
			check: "ipv4", result: Warning, detail: "no A record", hint: "families: [ipv6]"},
		{name: "dead IPv6", edit: func(w *world, _ *config.Store) { w.hosts["store.test"]["ip6"] = "127.0.0.2" },
			check: "ipv6", result: Failed, detail: "refused", hint: "firewall"},
		{name: "IPv4 only by config", edit: func(w *world, s *config.Store) {
			delete(w.hosts["store.test"], "ip6")
			s.Families = config.Families{IPv4: true}
		}, check: "ipv6", result: Info, detail: "not in families"},
		{name: "no such host", edit: func(w *world, _ *config.Store) { delete(w.hosts, "store.test") },
			check: "connect", result: Failed, detail: "no connection to store.test"},
		{name: "check URL answers all", edit: func(w *world, s *config.Store) {
			s.Check = w.serve("bucket", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) + "/{digest}"
		}, check: "check.absent", result: Failed, detail: "200 for a digest", hint: "403 or 404"},
		{name: "check URL is good", edit: func(w *world, s *config.Store) {
			s.Check = w.serve("bucket", newImage().store()) + "/images/{digest}"
		}, check: "check.head", result: OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			im := newImage()
			w := newWorld(t, im.registry())
			if strings.HasPrefix(tt.name, "hangs") {
				t.Parallel()
				w.opts.Timeout = time.Second
			}
			good := im.store()
			s := w.store("store", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if tt.fault == nil || !tt.fault(im, rw, r) {
					good.ServeHTTP(rw, r)
				}
			}))
			if tt.edit != nil {
				tt.edit(w, s)
			}
			r := w.live()
			expect(t, r, "store", tt.check, tt.result, tt.detail, tt.hint)
			if tt.result == Failed && r.Passed() {
				t.Error("the report passes")
			}
			if text, err := json.Marshal(r); err != nil || strings.Contains(string(text), "SECRET") {
				t.Errorf("a secret is in the report (%v): %s", err, text)
			}
		})
	}
}

type faultFunc = func(im *image, w http.ResponseWriter, r *http.Request) bool

func base(r *http.Request) string { return r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] }

func always(code int) faultFunc {
	return func(_ *image, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
}

func redirect(to string) faultFunc {
	return func(_ *image, w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to, http.StatusFound)
		return true
	}
}

func page(_ *image, w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("<!DOCTYPE html><title>hello</title>"))
	return true
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func writeOK(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write([]byte("fallback object"))
}

func madeUpOnly(h http.HandlerFunc) faultFunc {
	return func(im *image, w http.ResponseWriter, r *http.Request) bool {
		if !im.isMadeUp(r) {
			return false
		}
		h(w, r)
		return true
	}
}

// method answers one method with code. Code 0 hangs.
func method(m string, code int) faultFunc {
	return func(im *image, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != m {
			return false
		}
		if code == 0 {
			return hang(im, w, r)
		}
		w.WriteHeader(code)
		return true
	}
}

func hang(_ *image, _ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

func ranges(h func(im *image, w http.ResponseWriter, r *http.Request)) faultFunc {
	return func(im *image, w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" {
			return false
		}
		h(im, w, r)
		return true
	}
}

func wholeGet(h func(im *image, w http.ResponseWriter, r *http.Request)) faultFunc {
	return func(im *image, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.Header.Get("Range") != "" || im.isMadeUp(r) {
			return false
		}
		h(im, w, r)
		return true
	}
}

func pastTheEnd(code int) faultFunc {
	return func(im *image, w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != fmt.Sprintf("bytes=%d-", len(im.blobs[base(r)])) {
			return false
		}
		w.WriteHeader(code)
		return true
	}
}

// brokenPastTheEnd answers as distribution 2.8 does: with the blob's length, and a shorter error text.
func brokenPastTheEnd(code int) faultFunc {
	return func(im *image, w http.ResponseWriter, r *http.Request) bool {
		n := len(im.blobs[base(r)])
		if r.Header.Get("Range") != fmt.Sprintf("bytes=%d-", n) {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(n))
		w.WriteHeader(code)
		_, _ = w.Write([]byte("x"))
		return true
	}
}

func multiRange(code int) faultFunc {
	return func(_ *image, w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Header.Get("Range"), ",") {
			return false
		}
		w.WriteHeader(code)
		return true
	}
}

// flip changes the first byte of every write.
type flip struct{ http.ResponseWriter }

func (f *flip) Write(b []byte) (int, error) {
	b = slices.Clone(b)
	b[0] ^= 0xff
	return f.ResponseWriter.Write(b)
}

// withID turns the id of redirects on.
func withID(_ *world, s *config.Store) { s.RequestID = true }
