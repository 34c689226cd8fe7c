package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"ociproxy/internal/console/page"
	"ociproxy/internal/console/view"
)

const (
	// writeTimeout is for one write to a viewer. One that does not read loses its place.
	writeTimeout = 10 * time.Second
	// beat is how often a viewer gets something, so that one who is gone is noticed.
	beat = 15 * time.Second
	// lifetime is how long a stream lasts. Browsers come again.
	lifetime = time.Hour
)

// opening is sent first: how long a browser waits before it comes again, in ms.
var opening = []byte("retry: 5000\n\n")

// fresh says that there is a new view, although no section changed: otherwise the page of an idle server would say that
// it is not live. A browser shows comments, such as the beat, to no script.
var fresh = []byte("event: view\ndata:\n\n")

// board is what all viewers see. It is immutable, and all streams share it, so a viewer has no queue: one who reads
// slowly skips what is older than the newest board.
type board struct {
	of       *view.View
	version  uint64
	sections []section
	next     chan struct{} // closed when there is a newer board
}

// section is a part of the page.
type section struct {
	id      string
	version uint64 // of the first board with this content
	html    []byte
	event   []byte
}

func newBoard() *board { return &board{next: make(chan struct{})} }

// refresh renders the newest view for the streams, if it is news.
func (h *Handler) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, viewTimeout)
	defer cancel()
	v, err := h.opt.Source.View(ctx)
	if err != nil {
		return // the page says how old it is
	}
	h.rendering.Lock()
	defer h.rendering.Unlock()
	old := h.board.Load()
	if old.of == v {
		return
	}
	parts, err := page.Sections(v)
	if err != nil {
		return // a page that is loaded again shows the error
	}
	b := &board{of: v, version: old.version + 1, next: make(chan struct{})}
	for _, p := range parts {
		b.sections = append(b.sections, old.section(p, b.version))
	}
	h.board.Store(b)
	close(old.next)
}

// section returns the section p of a newer board.
func (b *board) section(p page.Section, version uint64) section {
	for i := range b.sections {
		if s := &b.sections[i]; s.id == p.ID && bytes.Equal(s.html, p.HTML) {
			return *s
		}
	}
	var event bytes.Buffer
	event.WriteString("event: section\ndata: ")
	enc := json.NewEncoder(&event)
	enc.SetEscapeHTML(false) // it is read as JSON, and would be a third longer
	_ = enc.Encode(struct {  // strings to memory: no error
		ID   string `json:"id"`
		HTML string `json:"html"`
	}{p.ID, string(p.HTML)})
	event.WriteByte('\n')
	return section{p.ID, version, p.HTML, event.Bytes()}
}

// events streams the sections that change (server-sent events).
func (h *Handler) events(rw http.ResponseWriter, r *http.Request) {
	if upgrade(rw, r) {
		return
	}
	if r.ContentLength != 0 {
		http.Error(rw, "this request has no body", http.StatusBadRequest)
		return
	}
	const kind = "text/event-stream"
	if !strings.Contains(r.Header.Get("Accept"), kind) { // an image or a link of a web page
		http.Error(rw, "a stream of events for the console: Accept: "+kind, http.StatusNotAcceptable)
		return
	}
	page.Security(rw.Header())
	rw.Header()["Content-Type"] = []string{kind}
	rw.Header()["Cache-Control"] = []string{"no-store"}
	rw.Header()["X-Accel-Buffering"] = []string{"no"} // a proxy in between must not collect events
	if r.Method == http.MethodHead {
		return
	}
	who := peer(r)
	if !h.viewers.take(who) {
		rw.Header()["Retry-After"] = []string{"30"}
		http.Error(rw, "as many as may look at this console live do: the page itself can be loaded again", http.StatusServiceUnavailable)
		return
	}
	defer h.viewers.give(who)
	h.refresh(r.Context())
	stream{http.NewResponseController(rw), rw}.follow(r.Context(), h)
}

// stream is the connection to one viewer.
type stream struct {
	control *http.ResponseController
	to      http.ResponseWriter
}

// follow sends what is new until the viewer is gone, does not read, or time is up.
func (s stream) follow(ctx context.Context, h *Handler) {
	_ = s.control.SetReadDeadline(time.Time{}) // the server's limit is for requests; test recorders have none
	end := time.NewTimer(lifetime)
	defer end.Stop()
	alive := time.NewTicker(beat)
	defer alive.Stop()
	if !s.send(opening) {
		return
	}
	seen := uint64(0)
	for {
		b := h.board.Load()
		var news [][]byte
		for i := range b.sections {
			if b.sections[i].version > seen {
				news = append(news, b.sections[i].event)
			}
		}
		if len(news) == 0 && b.version > seen {
			news = append(news, fresh)
		}
		if len(news) > 0 && !s.send(news...) {
			return
		}
		seen = b.version
		select {
		case <-b.next:
			continue
		case <-alive.C:
			if !s.send([]byte(":\n\n")) {
				return
			}
		case <-end.C:
			return
		case <-h.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// send writes to the viewer, and reports whether it read.
func (s stream) send(parts ...[]byte) bool {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	for _, p := range parts {
		if _, err := s.to.Write(p); err != nil {
			return false
		}
	}
	if s.control.Flush() != nil {
		return false
	}
	_ = s.control.SetWriteDeadline(time.Time{})
	return true
}
