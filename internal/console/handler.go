// Package console serves the console: its page, what changes on it, and answers for the box. One server's port for
// operators and the operators' tool use it, each with a source of its own.
//
// It knows HTTP, who looks, and when. It must not know where figures come from, nor what they mean.
package console

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ociproxy/internal/console/page"
	"ociproxy/internal/console/view"
	"ociproxy/internal/wait"
)

// Options configure a [Handler].
type Options struct {
	Source view.Source
	// Explainer answers the box; nil: there is no box.
	Explainer view.Explainer
	// Poll is how often the source is asked while somebody looks; default: a second. Only a view that is not the last one
	// is rendered.
	Poll time.Duration
}

const (
	// viewTimeout is for one view, explainTimeout for one explanation, which may ask stores.
	viewTimeout, explainTimeout = 10 * time.Second, 10 * time.Second
	// explanations may be under way at once.
	explanations = 4
	// tryAgain is after how many seconds a browser asks again for a page that there was not.
	tryAgain = "10"
	// asked bounds each part of a question, in bytes.
	asked = 1024
)

// Handler serves the console. Call [Handler.Run] while it is in use. Safe for concurrent use.
type Handler struct {
	opt   Options
	asks  chan struct{} // one for each explanation under way
	style asset
	code  asset

	rendering sync.Mutex
	document  document // of the last view; rendering protects it
	board     atomic.Pointer[board]

	viewers viewers
	closing sync.Once
	closed  chan struct{}
}

// New returns a handler.
func New(opt Options) *Handler {
	if opt.Poll <= 0 {
		opt.Poll = time.Second
	}
	h := &Handler{opt: opt, asks: make(chan struct{}, explanations), closed: make(chan struct{}),
		style: newAsset("text/css; charset=utf-8", page.Style), code: newAsset("text/javascript; charset=utf-8", page.Script)}
	h.viewers.of = map[string]int{}
	h.board.Store(newBoard())
	return h
}

// Pages registers everything except the page itself, such as with the method Handle of admit.Pages.
func (h *Handler) Pages(handle func(pattern, what string, f http.HandlerFunc)) {
	handle("GET /console/events", "", h.events)
	if h.opt.Explainer != nil {
		handle("GET /console/explain", "", h.explain)
	}
	handle("GET /"+page.StylePath, "", h.style.serve)
	handle("GET /"+page.ScriptPath, "", h.code.serve)
}

// Run sends what changes to those who look, until ctx is done. Then it ends their streams.
func (h *Handler) Run(ctx context.Context) {
	defer h.Close()
	for range wait.Every(ctx, h.opt.Poll) {
		if h.viewers.count() > 0 {
			h.refresh(ctx)
		}
	}
}

// Close ends all streams, so that a server can shut down. No further one begins.
func (h *Handler) Close() { h.closing.Do(func() { close(h.closed) }) }

// document is the page of a view.
type document struct {
	of            *view.View
	plain, zipped []byte
}

// Page answers with the whole page. ?ip=…&host=…&path=… is a question for the box.
func (h *Handler) Page(rw http.ResponseWriter, r *http.Request) {
	if upgrade(rw, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), viewTimeout)
	defer cancel()
	v, err := h.opt.Source.View(ctx)
	if err != nil {
		rw.Header().Set("Refresh", tryAgain) // there is no page with a script that could ask again
		http.Error(rw, "The console has nothing to show yet. A browser asks again every "+tryAgain+" s.\n\n"+view.Bounded(err.Error()),
			http.StatusServiceUnavailable)
		return
	}
	q := question(r)
	var d document
	if q == (view.Question{}) {
		d, err = h.rendered(v)
	} else {
		d, err = h.answered(r.Context(), v, q)
	}
	if err != nil {
		http.Error(rw, "the console cannot show this: "+err.Error(), http.StatusInternalServerError)
		return
	}
	page.Security(rw.Header())
	rw.Header()["Vary"] = []string{"Accept, Accept-Encoding"}
	d.serve(rw, r)
}

// rendered returns the page of a view, which is rendered once.
func (h *Handler) rendered(v *view.View) (document, error) {
	h.rendering.Lock()
	defer h.rendering.Unlock()
	if h.document.of == v {
		return h.document, nil
	}
	var out bytes.Buffer
	if err := page.Write(&out, v, nil, view.Question{}, ""); err != nil {
		return document{}, err
	}
	h.document = document{of: v, plain: out.Bytes(), zipped: zip(out.Bytes())}
	return h.document, nil
}

// answered returns the page of a view with the answer to a question.
func (h *Handler) answered(ctx context.Context, v *view.View, q view.Question) (document, error) {
	e, fault := h.ask(ctx, q)
	var out bytes.Buffer
	err := page.Write(&out, v, e, q, fault)
	return document{plain: out.Bytes()}, err
}

// explain answers a question with a part of the page.
func (h *Handler) explain(rw http.ResponseWriter, r *http.Request) {
	if upgrade(rw, r) {
		return
	}
	q := question(r)
	e, fault := h.ask(r.Context(), q)
	var out bytes.Buffer
	if err := page.Explained(&out, e, q, fault); err != nil {
		http.Error(rw, "the console cannot show this: "+err.Error(), http.StatusInternalServerError)
		return
	}
	page.Security(rw.Header())
	document{plain: out.Bytes()}.serve(rw, r)
}

// ask returns the answer to a question, or what is wrong with it.
func (h *Handler) ask(ctx context.Context, q view.Question) (e *view.Explanation, fault string) {
	if h.opt.Explainer == nil {
		return nil, "this console explains nothing"
	}
	select {
	case h.asks <- struct{}{}:
		defer func() { <-h.asks }()
	default:
		return nil, "other explanations are under way: try again"
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	e, err := h.opt.Explainer.Explain(ctx, q)
	if err != nil {
		return nil, view.Bounded(err.Error())
	}
	return e, ""
}

func question(r *http.Request) view.Question {
	q := r.URL.Query()
	get := func(key string) string {
		s := strings.TrimSpace(q.Get(key))
		return s[:min(len(s), asked)]
	}
	return view.Question{Address: get("ip"), Host: get("host"), Path: get("path")}
}

// Costly reports whether a request makes the server ask stores: a question with a path. Such a request must come from
// the page itself.
func Costly(r *http.Request) bool {
	return (r.URL.Path == "/" || r.URL.Path == "/console/explain") && question(r).Path != ""
}

// upgrade refuses a request for another protocol, such as a WebSocket.
func upgrade(rw http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Upgrade") == "" {
		return false
	}
	http.Error(rw, "this port speaks only HTTP", http.StatusBadRequest)
	return true
}

// viewers counts streams, in all and by address.
type viewers struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// The most streams, in all and of one address.
const maxViewers, maxViewersEach = 32, 16

func (v *viewers) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.all
}

// take reports whether there is room for one more viewer; if so, it counts until give.
func (v *viewers) take(address string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.all >= maxViewers || v.of[address] >= maxViewersEach {
		return false
	}
	v.all++
	v.of[address]++
	return true
}

func (v *viewers) give(address string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all--
	if v.of[address]--; v.of[address] == 0 {
		delete(v.of, address)
	}
}

// peer returns the address of the client, without port.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
