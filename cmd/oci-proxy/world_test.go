package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func itoa(n int) string { return strconv.Itoa(n) }

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// world starts a registry with image app:1 and two stores, one good and one that asks for a login,
// and puts their URLs into REGISTRY, GOOD and CLOSED.
func world(ts *testscript.TestScript, _ bool, _ []string) {
	layer := bytes.Repeat([]byte("layer"), 1000)
	config := []byte(`{"os":"linux"}`)
	blobs := map[string][]byte{digestOf(layer): layer, digestOf(config): config}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,"size":%d},"layers":[{"digest":%q,"size":%d}]}`,
		digestOf(config), len(config), digestOf(layer), len(layer))

	blob := func(w http.ResponseWriter, r *http.Request) {
		body, ok := blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable, no-transform")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}
	registry := http.NewServeMux()
	registry.HandleFunc("/v2/{$}", func(http.ResponseWriter, *http.Request) {})
	registry.HandleFunc("/v2/app/blobs/", blob)
	registry.HandleFunc("/v2/app/manifests/{ref}", func(w http.ResponseWriter, r *http.Request) {
		if ref := r.PathValue("ref"); ref != "1" && ref != digestOf(manifest) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Docker-Content-Digest", digestOf(manifest))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(manifest))
	})
	start := func(name string, h http.Handler) {
		srv := httptest.NewServer(h)
		ts.Defer(srv.Close)
		ts.Setenv(name, srv.URL)
	}
	start("REGISTRY", registry)
	start("GOOD", http.HandlerFunc(blob))
	start("CLOSED", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
}
