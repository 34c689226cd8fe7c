package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"ociproxy/internal/oci"
)

// registry is a read-only OCI registry (distribution-spec v1.1: pull, list
// tags, empty referrers). It never changes after it starts to serve. It does
// not redirect and asks for no credentials.
type registry struct {
	name      string // of its only repository, with the upstream's prefix
	tags      map[string]string
	manifests map[string]content
	blobs     map[string]content
}

// pageSize is the maximum number of tags on a page of the tag list.
const pageSize = 100

// serve answers GET and HEAD below /v2/.
func (g *registry) serve(w http.ResponseWriter, r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return registryError(w, oci.ErrMethod)
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	req, err := oci.Parse(r.URL.EscapedPath(), r.URL.RawQuery)
	if err != nil {
		answer := oci.ErrUnsupported
		_ = errors.As(err, &answer) // Parse guarantees this type
		return registryError(w, answer)
	}
	if req.Kind == oci.KindBase {
		return writeJSON(w, r, "application/json", struct{}{})
	}
	if req.Name != g.name {
		return registryError(w, oci.ErrNameUnknown)
	}
	switch req.Kind {
	case oci.KindTag:
		return serveContent(w, r, g.manifests, g.tags[req.Tag], oci.ErrManifestUnknown)
	case oci.KindManifest:
		return serveContent(w, r, g.manifests, req.Digest.String(), oci.ErrManifestUnknown)
	case oci.KindBlob:
		return serveContent(w, r, g.blobs, req.Digest.String(), oci.ErrBlobUnknown)
	case oci.KindReferrers:
		return writeJSON(w, r, typeIndex, indexJSON{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{}})
	default:
		return g.serveTags(w, r, req)
	}
}

// serveTags answers with one page of the tag list, with a Link to the next page
// (distribution-spec, "Listing Tags"; RFC 8288).
func (g *registry) serveTags(w http.ResponseWriter, r *http.Request, req oci.Request) string {
	tags := make([]string, 0, len(g.tags))
	for tag := range g.tags {
		if tag > req.Last {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	n := pageSize
	if req.N >= 0 {
		n = min(req.N, pageSize)
	}
	if n < len(tags) {
		tags = tags[:n]
		if n > 0 {
			next := url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}}
			w.Header().Set("Link", "</v2/"+g.name+"/tags/list?"+next.Encode()+`>; rel="next"`)
		}
	}
	return writeJSON(w, r, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{g.name, tags})
}

// serveContent answers with the content held under digest, complete or in
// ranges.
func serveContent(w http.ResponseWriter, r *http.Request, held map[string]content, digest string, unknown *oci.Error) string {
	c, ok := held[digest]
	if !ok {
		return registryError(w, unknown)
	}
	h := w.Header()
	h.Set("Content-Type", c.mediaType)
	if c.mediaType == typeLayer || c.mediaType == typeConfig {
		h.Set("Content-Type", "application/octet-stream") // registries do not know the type of a blob
	}
	h.Set("Docker-Content-Digest", digest)
	h.Set("ETag", strconv.Quote(digest))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.data))
	return digest
}

// registryError writes an OCI error. It returns "" because it sends no content.
func registryError(w http.ResponseWriter, e *oci.Error) string {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	// The server discards the body of a HEAD. The error is ignored: a client
	// that disconnected cannot be informed.
	_, _ = w.Write(e.Body())
	return ""
}

func writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, value any) string {
	data, err := json.Marshal(value)
	if err != nil { // unreachable: all types here can be encoded
		return registryError(w, oci.ErrUnavailable.With(err.Error()))
	}
	w.Header().Set("Content-Type", mediaType)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(data, '\n')))
	return ""
}
