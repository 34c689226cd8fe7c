package check

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/inventory/inventorytest"
)

// A store that is being filled may take traffic when it holds blobs of the images and has no fault.
func TestReady(t *testing.T) {
	im := newImage()
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such key", http.StatusNotFound) })
	w := newWorld(t, im.registry())
	for name, h := range map[string]http.Handler{
		"full": im.store(), "empty": empty,
		"closed": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
		"page":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }),
		"wrong": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // it has the blobs, and compresses them
			if r.Method == http.MethodGet && !im.isMadeUp(r) {
				w.Header().Set("Content-Encoding", "gzip")
			}
			im.store().ServeHTTP(w, r)
		}),
	} {
		w.store(name, h).State = config.Filling
	}
	r := w.live()
	for name, want := range map[string]bool{"full": true, "empty": false, "closed": false, "page": false, "wrong": false, "none": false, "canon": false} {
		if got := r.Ready(name); got != want {
			t.Errorf("Ready(%s) = %v, want %v", name, got, want)
		}
	}
	if f, bad := r.Failure("canon"); bad {
		t.Errorf("the registry failed: %+v", f)
	}
}

// An inventory says what is in a bucket, not that clients may read it: a policy may open the inventory alone.
func TestReadyNeedsLayer(t *testing.T) {
	im := newImage()
	w := newWorld(t, im.registry())
	segment := strings.Repeat("ab", 32)
	s := w.store("s3", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/inventory/head.json":
			_, _ = fmt.Fprint(rw, inventorytest.Truth("s3", segment, time.Now()))
		case "/inventory/seg/" + segment:
			rw.Header().Set("Content-Length", "100")
		default:
			rw.WriteHeader(http.StatusForbidden)
		}
	}))
	s.State = config.Filling
	s.Inventory = config.Inventory{URL: strings.TrimSuffix(s.URL, "images/{digest}") + "inventory/", StaleAfter: 24 * time.Hour}
	w.opts.Images = nil
	r := w.live()
	if len(r.Inventories) != 1 || !r.Inventories[0].Believed || r.Inventories[0].Records == 0 {
		t.Fatalf("inventories %+v", r.Inventories)
	}
	if r.Ready("s3") {
		t.Error("a store of which no layer was read is ready")
	}
}

// The answers of S3, Google and Azure about a bucket that is not there or closed to all. By their status alone they would
// be those about an object that is not there.
func TestNoBucket(t *testing.T) {
	im := newImage()
	for code, want := range map[string]string{
		"404 NoSuchBucket": "is not there, or not public", "404 ResourceNotFound": "is not there, or not public",
		"404 ContainerNotFound": "is not there, or not public", "409 PublicAccessNotPermitted": "closed to anonymous clients",
		"403 AllAccessDisabled": "closed to anonymous clients", "404 NoSuchKey": "", "403 AccessDenied": "", "404 BlobNotFound": "",
	} {
		var status int
		var word string
		if _, err := fmt.Sscan(code, &status, &word); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, im.registry())
		w.store("s3", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", word)
		})).State = config.Filling
		w.store("azure", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ms-Error-Code", word)
			w.WriteHeader(status)
		})).State = config.Filling
		r := w.live()
		for _, name := range []string{"s3", "azure"} {
			if want != "" {
				expect(t, r, name, "absent.get", Failed, want, "")
			} else {
				expect(t, r, name, "absent.get", OK, "", "")
			}
		}
	}
}

// Without an image to ask for, the root of the API shows whether a registry answers.
func TestAPI(t *testing.T) {
	for answer, want := range map[string]struct {
		result Result
		detail string
	}{
		"200": {OK, "200 for /v2/"}, "401": {OK, "wants a login there"}, "404": {Failed, "this is no registry"},
		"200 <html>": {Failed, "HTML page"}, "500": {Failed, "server error"},
	} {
		w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status, body, _ := strings.Cut(answer, " ")
			if r.URL.Path != "/v2/" {
				status, body = "404", ""
			}
			var code int
			_, _ = fmt.Sscan(status, &code)
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}))
		w.opts.Images = nil
		r := w.live()
		expect(t, r, "canon", "api", want.result, want.detail, "")
		if _, bad := r.Failure("canon"); bad != (want.result == Failed) {
			t.Errorf("%s: Failure = %v", answer, bad)
		}
	}
}
