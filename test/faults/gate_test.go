package faults

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"

	"ociproxy/test/parts"
)

// gate stands in front of one store or upstream. First comes a TCP proxy that can be down, slow or mute, then an HTTP
// reverse proxy that can answer wrongly.
type gate struct {
	name string
	addr string // host:port that clients and oci-proxy use
	tcp  *toxiproxy.Proxy

	fault    atomic.Pointer[misbehaviour]
	requests atomic.Int64 // all
	checks   atomic.Int64 // those of oci-proxy
}

// misbehaviour is what a gate does instead of passing requests on. The zero value does nothing.
type misbehaviour struct {
	when     func(*http.Request) bool // nil: always
	answer   http.HandlerFunc         // instead of asking the server
	request  func(*http.Request)      // changes the request to the server
	response func(*http.Response)     // changes the server's answer
}

// newGate starts a gate in front of the server at backend. If secure is not nil, the gate speaks TLS.
func newGate(t *testing.T, toxics *toxiproxy.ApiServer, name, backend string, secure *tls.Config) *gate {
	t.Helper()
	g := &gate{name: name}
	back := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	through := &httputil.ReverseProxy{
		Transport: back,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host // a registry uses the host in links
			if f := g.misbehaves(r.In); f != nil && f.request != nil {
				f.request(r.Out)
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if f := g.misbehaves(resp.Request); f != nil && f.response != nil {
				f.response(resp)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inner := l.Addr().String()
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.requests.Add(1)
			if byProxy(r) {
				g.checks.Add(1)
			}
			if f := g.misbehaves(r); f != nil && f.answer != nil {
				f.answer(w, r)
				return
			}
			through.ServeHTTP(w, r)
		}),
	}
	go func() { _ = server.Serve(l) }()
	g.tcp = toxiproxy.NewProxy(toxics, name, parts.FreeAddr(t), inner)
	if err := g.tcp.Start(); err != nil {
		t.Fatal(err)
	}
	g.addr = g.tcp.Listen
	t.Cleanup(func() {
		g.tcp.Stop()
		_ = server.Close()
		back.CloseIdleConnections()
	})
	return g
}

func (g *gate) misbehaves(r *http.Request) *misbehaviour {
	f := g.fault.Load()
	if f == nil || f.when != nil && !f.when(r) {
		return nil
	}
	return f
}

// strike makes the gate misbehave from now on; heal ends it.
func (g *gate) strike(f misbehaviour) { g.fault.Store(&f) }
func (g *gate) heal()                 { g.fault.Store(nil) }

// toxic adds a toxic to the TCP proxy. The JSON says how it handles what the server sends.
func (g *gate) toxic(t *testing.T, json string) {
	t.Helper()
	if _, err := g.tcp.Toxics.AddToxicJson(strings.NewReader(json)); err != nil {
		t.Fatal(err)
	}
}

// byProxy reports whether oci-proxy, not a client, sent the request.
func byProxy(r *http.Request) bool { return r.UserAgent() == "oci-proxy" }

func isBlob(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/containers/images/") || strings.Contains(r.URL.Path, "/blobs/")
}

func isInventory(r *http.Request) bool { return strings.Contains(r.URL.Path, "/inventory/") }

func isHead(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/inventory/head.json") }

func isSegment(r *http.Request) bool { return strings.Contains(r.URL.Path, "/inventory/seg/") }

// status returns a handler that answers with a status code.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "<Error><Code>Fault</Code></Error>")
	}
}

// page answers as a captive portal does.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!doctype html><title>Maintenance</title>")
}

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// mute never answers.
func mute(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// body replaces the reader of an answer's body.
func body(resp *http.Response, r io.Reader) {
	resp.Body = struct {
		io.Reader
		io.Closer
	}{r, resp.Body}
}

// flip damages every byte of an answer.
func flip(resp *http.Response) { body(resp, flipped{resp.Body}) }

type flipped struct{ io.Reader }

func (f flipped) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	for i := range p[:n] {
		p[i] ^= 0x55
	}
	return n, err
}

// cut breaks off an answer after that many bytes. The reverse proxy then drops the connection.
func cut(resp *http.Response, after int64) {
	body(resp, io.MultiReader(io.LimitReader(resp.Body, after), broken{}))
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
