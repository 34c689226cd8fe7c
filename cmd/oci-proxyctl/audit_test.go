package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// pushed is the command images NAME REPOSITORY TEXT… starts a registry, puts its URL into NAME, and pushes an image into the repository whose layers
// are the texts; the digest of the N-th layer is put into NAME_N.
func pushed(ts *testscript.TestScript, _ bool, args []string) {
	srv := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelError))))
	ts.Defer(srv.Close)
	ts.Setenv(args[0], srv.URL)
	var img v1.Image = empty.Image
	for i, text := range args[2:] {
		layer := static.NewLayer([]byte(text), types.OCILayer)
		d, err := layer.Digest()
		ts.Check(err)
		ts.Setenv(args[0]+"_"+string(rune('1'+i)), d.String())
		img, err = mutate.AppendLayers(img, layer)
		ts.Check(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(srv.URL, "http://")+"/"+args[1]+":v1", name.Insecure)
	ts.Check(err)
	ts.Check(remote.Write(ref, img))
}

// publish NAME DIR serves a directory as a bucket's public face, and puts its URL into NAME. A file beside it, DIR.hidden, names what it
// refuses to show.
func publish(ts *testscript.TestScript, _ bool, args []string) {
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
