package demo

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"

	"ociproxy/internal/inventory"
)

// blobRoot is the path of blobs in the stores (existing mirrors use this
// layout).
const blobRoot = "/containers/images/"

// store works like a public bucket of blobs, read over HTTPS without the right
// to list. A missing key gives the status absent (403 in S3, 404 in Azure).
// Range requests work. A store never changes after it starts to serve.
type store struct {
	blobs     map[string]content
	inventory *published // nil: the store publishes no inventory
	absent    int        // status for a missing key: 403 like S3 without list rights, 404 like Azure
}

// serve answers GET and HEAD of blobs and of the inventory.
func (s *store) serve(w http.ResponseWriter, r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		storeError(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
		return ""
	}
	if path, ok := strings.CutPrefix(r.URL.Path, inventoryRoot); ok && s.inventory != nil {
		if body := s.inventory.object(path, time.Now()); body != nil {
			w.Header().Set("Content-Type", "application/octet-stream") // as a mirror uploads it
			if path == inventory.HeadName {
				w.Header().Set("Content-Type", "application/json")
			}
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("ETag", `"`+digestOf(body)+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
			return ""
		}
	}
	digest, ok := strings.CutPrefix(r.URL.Path, blobRoot)
	blob, held := s.blobs[digest]
	if !ok || !held {
		code := "AccessDenied"
		if s.absent == http.StatusNotFound {
			code = "BlobNotFound"
		}
		storeError(w, s.absent, code)
		return ""
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable, no-transform")
	h.Set("ETag", `"`+strings.TrimPrefix(digest, "sha256:")+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob.data))
	return digest
}

// storeError writes an error as S3 and Azure do. It does not use ServeContent,
// because there is no content.
func storeError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	// The server discards the body of a HEAD. The error is ignored: a client
	// that disconnected cannot be informed.
	_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code></Error>\n", code)
}
