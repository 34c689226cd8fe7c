package listener

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// certificate returns the one of httptest, for loopback.
func certificate() *tls.Config {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
}

// pieces sends raw in two writes.
func pieces(c io.Writer, raw string, cut int) {
	_, _ = io.WriteString(c, raw[:cut])
	_, _ = io.WriteString(c, raw[cut:])
}

// TestHeadersByTheLetter guards against headers that net/http accepts and a front may read differently. Each of them is
// refused with 400, and nothing after it on the connection is answered. That holds however the bytes are cut, with and
// without TLS, for the first request and for later ones.
func TestHeadersByTheLetter(t *testing.T) {
	const good, smuggled = "GET /good HTTP/1.1\r\nHost: x\r\n\r\n", "GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	odd := map[string]string{
		"a field goes on in the next line":  "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n Content-Length: 40\r\n\r\n",
		"with a tab":                        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
		"the first field begins with space": "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"LF alone ends a field":             "GET / HTTP/1.1\r\nHost: x\r\nA: b\nContent-Length: 40\r\n\r\n",
		"LF alone ends the request line":    "GET / HTTP/1.1\nHost: x\r\n\r\n",
		"LF alone ends the header":          "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\n",
		"LF alone everywhere":               "GET / HTTP/1.1\nHost: x\n\n",
		"CR within a field":                 "GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
		"CR CR LF":                          "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n",
		"space before the colon":            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 40\r\n\r\n",
		"two lengths":                       "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"a list of lengths":                 "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
		"a signed length":                   "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
	}
	listen := map[string]*site{"plain": open(t, Options{Max: 1000}), "TLS": open(t, Options{Max: 1000, TLS: certificate(), Handshake: time.Minute})}
	for how, s := range listen {
		for what, raw := range odd {
			t.Run(how+"/"+what, func(t *testing.T) {
				raw := good + raw + smuggled
				for cut := len(good) - 2; cut < len(raw)-len(smuggled)+2; cut += 5 {
					c := s.dial(t, "127.0.0.1")
					if how == "TLS" {
						over := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
						c = &client{over, bufio.NewReader(over)}
					}
					pieces(c, raw, cut)
					if got := c.answer(); !served(got) {
						t.Fatalf("cut at %d: the good request is answered %q", cut, got)
					}
					if got := c.answer(); !strings.HasPrefix(got, "400 Bad Request") {
						t.Errorf("cut at %d: %q, want 400", cut, got)
					}
					if rest, _ := io.ReadAll(c.in); strings.Contains(string(rest), "HTTP/1.1 200") {
						t.Errorf("cut at %d: the request behind it is answered: %q", cut, rest)
					}
					c.Close()
				}
			})
		}
	}
}

// TestGoodHeadersPass: valid headers are read as usual, in pieces, and over HTTP/2 with and without TLS.
func TestGoodHeadersPass(t *testing.T) {
	s := open(t, Options{Max: 1000})
	const raw = "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \t c d \r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for cut := range raw {
		c := s.dial(t, "127.0.0.1")
		pieces(c, raw, cut)
		for range 2 {
			if got := c.answer(); !served(got) {
				t.Errorf("cut at %d: %q", cut, got)
			}
		}
		c.Close()
	}
	secure := open(t, Options{Max: 1000, TLS: certificate(), Handshake: time.Minute})
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	for url, tr := range map[string]*http.Transport{
		"http://" + s.Addr().String():       {Protocols: p},
		"https://" + secure.Addr().String(): {ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	} {
		for range 3 {
			r, err := (&http.Client{Transport: tr}).Get(url)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if r.ProtoMajor != 2 || !served(string(body)) {
				t.Errorf("%s: %s %s", url, r.Proto, body)
			}
		}
		tr.CloseIdleConnections()
	}
}

// TestHTTP2IsIdleBetweenRequests: an HTTP/2 connection without streams counts as idle, and is closed among the first.
func TestHTTP2IsIdleBetweenRequests(t *testing.T) {
	for what, opt := range map[string]Options{"plain": {Max: 1}, "TLS": {Max: 1, TLS: certificate(), Handshake: time.Minute}} {
		s := open(t, opt)
		p, url := new(http.Protocols), "http://"
		p.SetUnencryptedHTTP2(true)
		if opt.TLS != nil {
			p.SetHTTP2(true)
			url = "https://"
		}
		for range 3 { // each one takes the only slot from the one before
			tr := &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			r, err := (&http.Client{Transport: tr}).Get(url + s.Addr().String())
			if err != nil {
				t.Fatal(what, err)
			}
			r.Body.Close()
			s.settled(t, 1, 1)
			t.Cleanup(tr.CloseIdleConnections)
		}
	}
}

// TestASilentHandshakeHoldsNobodyUp: the steps before a connection is served do not delay the next connection.
func TestASilentHandshakeHoldsNobodyUp(t *testing.T) {
	s := open(t, Options{Max: 10, TLS: certificate(), Handshake: time.Minute})
	s.dial(t, "127.0.0.1")
	fmt.Fprint(s.dial(t, "127.0.0.1"), "\x16\x03\x01")
	s.until(t, "both open", func() bool { return s.counts[Opened].Load() == 2 })
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	r, err := (&http.Client{Transport: tr}).Get("https://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	plain := s.dial(t, "127.0.0.1")
	if got := plain.get("/"); !strings.HasPrefix(got, "400 Bad Request") {
		t.Errorf("HTTP where TLS is spoken: %q", got)
	}
}
