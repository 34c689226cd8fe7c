package console

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// asset is a file whose address changes with its content.
type asset struct {
	kind          string
	plain, zipped []byte
}

func newAsset(kind string, data []byte) asset { return asset{kind, data, zip(data)} }

func (a *asset) serve(rw http.ResponseWriter, r *http.Request) {
	head := rw.Header()
	head["Content-Type"] = []string{a.kind}
	head["Cache-Control"] = []string{"private, max-age=31536000, immutable"}
	head["Vary"] = []string{"Accept-Encoding"}
	head["X-Content-Type-Options"] = []string{"nosniff"}
	head["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
	send(rw, r, a.plain, a.zipped)
}

// serve sends a document, which nobody keeps.
func (d document) serve(rw http.ResponseWriter, r *http.Request) {
	head := rw.Header()
	head["Content-Type"] = []string{"text/html; charset=utf-8"}
	head["Cache-Control"] = []string{"no-store"}
	if d.zipped == nil && zips(r) {
		d.zipped = zip(d.plain)
	}
	send(rw, r, d.plain, d.zipped)
}

func send(rw http.ResponseWriter, r *http.Request, plain, zipped []byte) {
	if zips(r) {
		rw.Header()["Content-Encoding"] = []string{"gzip"}
		plain = zipped
	}
	rw.Header()["Content-Length"] = []string{strconv.Itoa(len(plain))}
	_, _ = rw.Write(plain) // the reader may be gone
}

// zips reports whether a client takes gzip. Browsers and curl do not weigh it with q=0.
func zips(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") }

func zip(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(data) // to memory: no error
	_ = w.Close()
	return out.Bytes()
}
