package health

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve answers as a working store does.
func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
}

// part answers with the requested range, changed by edit.
func part(edit func(first, last, total *int64, body *[]byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var first, last int64
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		total := int64(len(blob))
		last = min(last, total-1)
		body := blob[first : last+1]
		edit(&first, &last, &total, &body)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, total))
		w.WriteHeader(206)
		w.Write(body)
	}
}

func cut(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	serve(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	conn.(*net.TCPConn).SetLinger(0) // RST instead of FIN
	conn.Close()
}

func slowly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(blob)))
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func html(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<html>Welcome</html>")
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// The test has every fault of a store, for both kinds of probe.
func TestFaults(t *testing.T) {
	both := []queryKind{wholeObject, byteRange}
	whole, ranged := both[:1], both[1:]
	tests := []struct {
		name    string
		kinds   []queryKind
		handler http.HandlerFunc
		want    outcome
		says    string
	}{
		{"good", both, serve, pass, ""},
		{"hung", both, hang, fail, "no answer within 100ms"},
		{"slow", whole, slowly, fail, "no complete answer within 200ms"},
		{"slow to a range", ranged, func(w http.ResponseWriter, r *http.Request) {
			part(func(_, _, _ *int64, body *[]byte) { *body = (*body)[:len(*body)-1] })(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, fail, "no complete answer within 200ms"},
		{"cut", both, cut, fail, "breaks off after"},
		{"reset", both, reset, fail, "connection reset"},
		{"500", both, status(500), fail, "status 500"},
		{"502", both, status(502), fail, "status 502"},
		{"503", both, status(503), fail, "status 503"},
		{"400", both, status(400), fail, "status 400"},
		{"204", both, status(204), fail, "status 204"},
		{"401", both, status(401), neutral, "status 401"},
		{"403", both, status(403), neutral, "status 403"},
		{"404", both, status(404), neutral, "status 404"},
		{"410", both, status(410), neutral, "status 410"},
		{"429", both, status(429), neutral, "status 429"},
		{"416", ranged, status(416), fail, "fewer bytes than the 30000"},
		{"wrong bytes", whole, func(w http.ResponseWriter, _ *http.Request) {
			w.Write(bytes.Repeat([]byte("Layer "), 5000))
		}, fail, "digest does not match"},
		{"one byte more", whole, func(w http.ResponseWriter, _ *http.Request) { w.Write(append(bytes.Clone(blob), 'x')) }, fail, "more than 30000 bytes"},
		{"endless", whole, func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(blob); err != nil {
					return
				}
			}
		}, fail, "more than 30000 bytes"},
		{"empty", whole, func(http.ResponseWriter, *http.Request) {}, fail, "an answer of 0 bytes"},
		{"HTML with 200", both, html, fail, "an HTML page with status 200"},
		{"gzip", both, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(blob)
		}, fail, `content encoding "gzip"`},
		{"206 to a whole request", whole, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206); w.Write(blob) }, fail, "status 206"},
		{"200 to a Range request", ranged, func(w http.ResponseWriter, _ *http.Request) { w.Write(blob) }, fail, "downloads cannot be resumed"},
		{"206 without Content-Range", ranged, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206); w.Write(blob) }, fail, `Content-Range ""`},
		{"wrong start", ranged, part(func(first, last, _ *int64, _ *[]byte) { *first, *last = *first+1, *last+1 }), fail, ""},
		{"shorter than asked", ranged, part(func(_, last, _ *int64, body *[]byte) {
			*last--
			*body = (*body)[:len(*body)-1]
		}), fail, ""},
		{"wrong total", ranged, part(func(_, _, total *int64, _ *[]byte) { *total += 7 }), fail, "the object has 30007 bytes, should have 30000"},
		{"body shorter than its range", ranged, part(func(_, _, _ *int64, body *[]byte) { *body = (*body)[:len(*body)-1] }), fail, "bytes"},
		{"body longer than its range", ranged, part(func(_, _, _ *int64, body *[]byte) { *body = append(bytes.Clone(*body), 'x') }), fail, "bytes"},
		{"redirect", both, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example/secret?sig=1")
			w.WriteHeader(307)
		}, fail, "redirects to elsewhere.example: a store answers itself"},
	}
	for _, tt := range tests {
		for _, kind := range tt.kinds {
			t.Run(fmt.Sprintf("%s/%d", tt.name, kind), func(t *testing.T) {
				srv := httptest.NewServer(tt.handler)
				defer srv.Close()
				m := quick(srv.Client())
				// On a busy machine both limits can have passed when the probe looks: the other one is far away.
				switch {
				case strings.HasPrefix(tt.says, "no answer"):
					m.opt.FirstByte, m.opt.Timeout = 100*time.Millisecond, time.Minute
				case strings.HasPrefix(tt.says, "no complete answer"):
					m.opt.FirstByte, m.opt.Timeout = time.Minute, 200*time.Millisecond
				}
				r := m.probe(t.Context(), store(srv.URL), turnOf(kind == wholeObject), Object{})
				expect(t, r, tt.want, tt.says)
				if r.missing != (tt.name == "403" || tt.name == "404" || tt.name == "410") {
					t.Errorf("missing = %v", r.missing)
				}
				if r.err != nil && strings.Contains(r.err.Error(), srv.URL) {
					t.Errorf("the error shows the URL: %v", r.err)
				}
			})
		}
	}
}

// quick returns a monitor for single probes. Its time limits are long, because the machine may be busy.
func quick(c *http.Client) *Monitor {
	return New(Options{Client: c, FirstByte: time.Minute, Timeout: time.Minute})
}

// store returns a target that holds blob at url.
func store(url string) *Target {
	return &Target{Name: "s", Sample: func(int64) (Object, bool) {
		return Object{URL: url + "/blob", Digest: sum(blob), Size: int64(len(blob))}, true
	}}
}

func expect(t *testing.T, r result, want outcome, says string) {
	t.Helper()
	if r.outcome != want {
		t.Errorf("outcome %v, want %v (error %v)", r.outcome, want, r.err)
	}
	if want == pass && r.err != nil || want != pass && (r.err == nil || !strings.Contains(r.err.Error(), says)) {
		t.Errorf("error %v, want %q", r.err, says)
	}
}
