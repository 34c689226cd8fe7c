package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"ociproxy/internal/registry/registrytest"
)

// pushed is the command images NAME REPOSITORY TEXT…. It starts a registry, puts its URL into NAME, and pushes an
// image into the repository. The texts are the image's layers. The digest of the N-th layer is put into NAME_N.
func pushed(ts *testscript.TestScript, _ bool, args []string) {
	r := registrytest.Start(registrytest.Options{})
	ts.Defer(r.Close)
	ts.Setenv(args[0], r.URL)
	r.Image(args[1], "v1", args[2:]...)
	for i, text := range args[2:] {
		ts.Setenv(args[0]+"_"+string(rune('1'+i)), registrytest.Sum([]byte(text)))
	}
}

// publish NAME DIR serves a directory as a bucket's public side, and puts its URL into NAME. The file DIR.hidden
// contains the name of what the server refuses to show.
func publishBlobs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[1])
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hidden, err := os.ReadFile(dir + ".hidden"); err == nil && strings.Contains(r.URL.Path, strings.TrimSpace(string(hidden))) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		files.ServeHTTP(w, r)
	}))
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
}
