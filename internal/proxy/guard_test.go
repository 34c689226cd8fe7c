package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answers sends raw over one connection and returns the statuses that come back until the server closes it.
func (r *running) answers(t *testing.T, raw string) []int {
	t.Helper()
	conn, err := net.Dial("tcp", r.public)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil { // nothing more comes, so that no time-out is needed
		t.Fatal(err)
	}
	var got []int
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return got
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		got = append(got, resp.StatusCode)
	}
}

// TestTwoOpinionsEndTheConnection guards against an old fault: a request with both Content-Length and Transfer-Encoding
// left its connection open. If a front and this server could disagree about where a request ends, the server must read
// nothing after it from its connection, whether it is the first request or a later one.
func TestTwoOpinionsEndTheConnection(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
	poll(t, "serving", func() bool { return r.status("/-/live") == 200 })
	const good, smuggled = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v2/ HTTP/1.1\r\nHost: smuggled\r\nConnection: close\r\n\r\n"
	head := func(method, version string, fields ...string) string {
		return method + " /v2/ HTTP/" + version + "\r\nHost: x\r\nConnection: keep-alive\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
	}
	const chunked, length, empty = "Transfer-Encoding: chunked", "Content-Length: 5", "0\r\n\r\n"
	for what, raw := range map[string]string{
		"both":                       head("GET", "1.1", length, chunked) + empty,
		"both, the other way round":  head("GET", "1.1", chunked, length) + empty,
		"both, on a refused method":  head("POST", "1.1", chunked, length) + empty,
		"no length and chunked":      head("GET", "1.1", "Content-Length: 0", chunked) + empty,
		"a length twice":             head("GET", "1.1", length, length) + empty,
		"a body of GET":              head("GET", "1.1", length) + empty,
		"chunks of GET":              head("HEAD", "1.1", chunked) + empty,
		"HTTP/1.0 chunked":           head("GET", "1.0", chunked),
		"HTTP/1.0 with both":         head("GET", "1.0", chunked, length) + empty,
		"an encoding nobody knows":   head("GET", "1.1", "Transfer-Encoding: xchunked"),
		"an encoding on top":         head("GET", "1.1", "Transfer-Encoding: gzip, chunked") + empty,
		"two encodings":              head("GET", "1.1", chunked, "Transfer-Encoding: identity") + empty,
		"chunks that end in LF only": head("GET", "1.1", chunked) + "0\n\n",
	} {
		t.Run(what, func(t *testing.T) {
			if got := r.answers(t, good+raw+smuggled); len(got) != 2 || got[0] != 200 {
				t.Errorf("answered %v, want 200, one answer and the end", got)
			}
		})
	}
	if got := r.answers(t, good+good+"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); len(got) != 3 {
		t.Errorf("three good requests are answered %v", got)
	}
}

// TestABodyOnARefusedMethod guards against an old fault: a client that sent a body got a reset instead of its 405.
func TestABodyOnARefusedMethod(t *testing.T) {
	dir := t.TempDir()
	certificateFor(t, dir, 1)
	plain := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
	secure := start(t, filepath.Join(dir, "config.yaml"), newWorld(t), "limits:", "tls: {cert: "+dir+"/cert.pem, key: "+dir+"/key.pem}\nlimits:")
	poll(t, "serving", func() bool { return plain.status("/-/live") == 200 })
	http2, h2c := new(http.Protocols), new(http.Protocols)
	http2.SetHTTP2(true)
	h2c.SetUnencryptedHTTP2(true)
	// Use one config for each: net/http records in it which protocols its transport speaks.
	trusting := func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
	for what, side := range map[string]struct {
		url       string
		transport *http.Transport
	}{
		"HTTP/1.1":          {"http://" + plain.public, &http.Transport{}},
		"HTTP/2":            {"http://" + plain.public, &http.Transport{Protocols: h2c}},
		"HTTP/1.1 over TLS": {"https://" + secure.public, &http.Transport{TLSClientConfig: trusting()}},
		"HTTP/2 over TLS":   {"https://" + secure.public, &http.Transport{TLSClientConfig: trusting(), Protocols: http2}},
	} {
		defer side.transport.CloseIdleConnections()
		for _, ask := range []struct {
			method  string
			size    int
			chunked bool
		}{{"POST", 1, true}, {"PUT", 1 << 20, false}, {"PATCH", 64 << 20, true}, {"PATCH", 64 << 20, false}, {"DELETE", 1, false}} {
			t.Run(fmt.Sprintf("%s %s of %d bytes, chunked %t", what, ask.method, ask.size, ask.chunked), func(t *testing.T) {
				var body io.Reader = bytes.NewReader(make([]byte, ask.size))
				if ask.chunked {
					body = io.MultiReader(body)
				}
				req, err := http.NewRequestWithContext(t.Context(), ask.method, side.url+"/v2/a/blobs/uploads/1", body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := side.transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusMethodNotAllowed || len(text) == 0 {
					t.Errorf("%s %q %v, want 405 and its reason", resp.Status, text, err)
				}
			})
		}
	}
}

// TestAClientThatSendsBeforeItReads checks that such a client gets its answer too. Simple clients read only when they
// have sent everything.
func TestAClientThatSendsBeforeItReads(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "config.yaml"), newWorld(t))
	poll(t, "serving", func() bool { return r.status("/-/live") == 200 })
	const size = 12 << 20
	body := strings.Repeat("x", size)
	if got := r.answers(t, fmt.Sprintf("PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, body)); len(got) != 1 || got[0] != 405 {
		t.Errorf("answered %v, want 405", got)
	}
	if got := r.answers(t, "PUT /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"); len(got) != 1 || got[0] != 405 {
		t.Errorf("one that asks first is answered %v, want 405 and no 100", got)
	}
}

// TestClientsWordsAreNotLoud guards against an old fault: a client's ALPN name turned a log line into an error. Nothing
// that clients of either port send may make a line louder than DEBUG, or turn one line into two. A panic of ours is an
// error, whatever the client sent.
func TestClientsWordsAreNotLoud(t *testing.T) {
	dir := t.TempDir()
	certificateFor(t, dir, 1)
	w := newWorld(t)
	const few = "drain: 0s, maxConnections: 100" // avoids our warning about open files
	r := start(t, filepath.Join(dir, "config.yaml"), w, "drain: 0s", few, "limits:", "tls: {cert: "+dir+"/cert.pem, key: "+dir+"/key.pem}\nlimits:")
	plain := start(t, filepath.Join(t.TempDir(), "config.yaml"), w, "drain: 0s", few)
	const words = "http: panic serving Accept error\n{\"level\":\"ERROR\",\"msg\":\"forged\"}"
	secure := func(c *tls.Config) {
		c.InsecureSkipVerify = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", r.public); err == nil {
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+words+"\r\n\r\n")
			_, _ = io.ReadAll(conn)
			conn.Close()
		}
	}
	poll(t, "serving", func() bool { return plain.status("/-/live") == 200 })
	secure(&tls.Config{NextProtos: []string{words}})
	secure(&tls.Config{NextProtos: []string{"panic"}})
	secure(&tls.Config{ServerName: "panic.Accept.error"})
	secure(&tls.Config{NextProtos: []string{"h2"}})
	secure(&tls.Config{})
	for _, running := range []*running{plain, r} {
		for _, raw := range []string{words, "GET / HTTP/1.1\r\nHost: panic\r\n" + words + "\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + words,
			"GET /" + words + " HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: panic\r\n\r\n"} {
			running.answers(t, raw)
		}
	}
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`) || !strings.HasPrefix(line, `{"time"`) {
			t.Errorf("a client's words: %s", line)
		}
	}

	log := &lockedBuffer{}
	w.server.log = slog.New(slog.NewJSONHandler(log, nil))
	broken := httptest.NewServer(w.server.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ours") })))
	defer broken.Close()
	if resp, err := http.Get(broken.URL); err == nil {
		resp.Body.Close()
		t.Error("a panic is answered")
	}
	if got := log.String(); !strings.Contains(got, `"level":"ERROR"`) || !strings.Contains(got, `"error":"ours"`) || !strings.Contains(got, "guard_test.go") {
		t.Errorf("a panic of ours: %s", got)
	}
}
