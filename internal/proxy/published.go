package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/edge"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/endpoints/hostlist"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// published are the documents about endpoints that one name publishes.
type published struct {
	json, atom *document
	signed     *document // nil: none
}

// listsFor renders the documents for one of cfg's names; nil stands for those that it does not list.
func listsFor(cfg *config.Config, name *config.Name, signed *document) (*published, error) {
	l, err := hostlist.For(cfg, name)
	if err != nil {
		return nil, err
	}
	registry := cfg.Canonical().URL
	for i := range cfg.Names {
		if cfg.Names[i].Role == config.Primary {
			registry = cfg.Names[i].Hosts[0]
			break
		}
	}
	if name != nil {
		registry = name.Hosts[0]
		if name.Role == config.Direct {
			signed = nil // it is about all hosts, and this name publishes only its own
		}
	}
	return &published{
		json:   newDocument("application/json", l.Text()),
		atom:   newDocument("application/atom+xml", hostlist.Atom(l, registry)),
		signed: signed,
	}, nil
}

// signedList reads the list that was signed elsewhere; nil when the config names none.
func signedList(cfg *config.Config) (*document, error) {
	if cfg.Endpoints.Signed == "" {
		return nil, nil
	}
	// First: to open a pipe could wait forever.
	if info, err := os.Stat(cfg.Endpoints.Signed); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("endpoints.signed: %s is not a regular file", cfg.Endpoints.Signed)
	}
	f, err := os.Open(cfg.Endpoints.Signed)
	if err != nil {
		return nil, fmt.Errorf("endpoints.signed: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, endpoints.MaxBytes+1))
	if err == nil {
		err = endpoints.Envelope(text)
	}
	if err != nil {
		return nil, fmt.Errorf("endpoints.signed: %s: %w", cfg.Endpoints.Signed, err)
	}
	return newDocument("application/json", text), nil
}

// listsOf returns the documents for a request with that Host header.
func (w *wiring) listsOf(host string) *published {
	if n := w.name(host); n != nil {
		return n.lists
	}
	return w.lists
}

// answer returns one of the documents, or says that the client has it already.
func (l *published) answer(page edge.Page, known []string) response {
	d := l.json
	if page == edge.EndpointsFeed {
		d = l.atom
	} else if page == edge.EndpointsSigned {
		d = l.signed
	}
	if d == nil {
		return refusal(oci.ErrUnsupported)
	}
	a := response{status: http.StatusOK, shared: d, by: route.NoCandidate}
	if d.known(known) {
		a.status = http.StatusNotModified
	}
	return a
}

// document is a page that is the same for all clients of a name. It is rendered when the config is loaded.
type document struct {
	body              []byte
	tag, kind, length []string // header values
}

// minutes is how long caches may keep a document.
var minutes = []string{"public, max-age=300"}

func newDocument(kind string, body []byte) *document {
	sum := sha256.Sum256(body)
	return &document{
		body: body, kind: []string{kind}, tag: []string{`"` + hex.EncodeToString(sum[:16]) + `"`},
		length: []string{strconv.Itoa(len(body))},
	}
}

// known reports whether the If-None-Match header has the document's tag. The comparison is the weak one of RFC 9110.
func (d *document) known(header []string) bool {
	for _, line := range header {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == d.tag[0] || tag == "*" {
				return true
			}
		}
	}
	return false
}

// write sends the document, with its body only if body is true.
func (d *document) write(rw http.ResponseWriter, status int, body bool) {
	head := rw.Header()
	head["Cache-Control"], head["Etag"] = minutes, d.tag
	if status == http.StatusOK {
		head["Content-Type"], head["Content-Length"] = d.kind, d.length
	}
	rw.WriteHeader(status)
	if body && status == http.StatusOK {
		_, _ = rw.Write(d.body) // an error means that the client has gone
	}
}
