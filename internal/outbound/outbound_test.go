package outbound

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// secure returns an HTTP/2 server, and the TLS config that trusts it.
func secure(t *testing.T, h http.HandlerFunc) (*httptest.Server, *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, &tls.Config{RootCAs: roots}
}

// get makes a request and reads the complete answer.
func get(t *testing.T, tr *http.Transport, url string) (*http.Response, string, error) {
	t.Helper()
	t.Cleanup(tr.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // far beyond the limits under test
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// A transport speaks HTTP/2, whatever its dialer and TLS config are.
func TestHTTP2(t *testing.T) {
	s, conf := secure(t, func(http.ResponseWriter, *http.Request) {})
	var dialled atomic.Int64
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for name, opt := range map[string]Options{
		"plain":        {TLS: conf},
		"bounded":      {TLS: conf, Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: 10 * time.Second, Connections: 1},
		"direct":       {TLS: conf, Direct: true},
		"dials itself": {TLS: conf, DialContext: dial},
	} {
		t.Run(name, func(t *testing.T) {
			resp, _, err := get(t, New(opt), s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if resp.ProtoMajor != 2 {
				t.Errorf("got %s, want HTTP/2", resp.Proto)
			}
		})
	}
	if dialled.Load() != 1 {
		t.Errorf("its own way to dial was used %d times, want once", dialled.Load())
	}
	if len(conf.NextProtos) != 0 {
		t.Errorf("the caller's TLS config was changed: %v", conf.NextProtos)
	}
}

func TestProxy(t *testing.T) {
	if New(Options{}).Proxy == nil {
		t.Error("the environment's proxy is not used")
	}
	if New(Options{Direct: true}).Proxy != nil {
		t.Error("a direct one uses a proxy")
	}
}

// The transport gives up on a peer that keeps us waiting or sends too much, at the limit of the step.
func TestBounds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // its backlog accepts connections, but nothing answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	talker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 10_000))
	}))
	defer talker.Close()
	const bound = 50 * time.Millisecond
	for name, tt := range map[string]struct {
		opt       Options
		url, want string
	}{
		"handshake":           {Options{Handshake: bound}, "https://" + silent.Addr().String(), "TLS handshake timeout"},
		"header":              {Options{Header: bound}, "http://" + silent.Addr().String(), "timeout awaiting response headers"},
		"bytes of the header": {Options{HeaderBytes: 4 << 10}, talker.URL, "server response headers exceeded 4096 bytes"},
		"short enough":        {Options{HeaderBytes: 64 << 10}, talker.URL, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := get(t, New(tt.opt), tt.url)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

// Bytes arrive as stored, unless the caller asks to unpack them.
func TestDecompress(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			_, _ = io.WriteString(w, "as stored")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "unpacked")
		_ = z.Close()
	}))
	defer s.Close()
	for decompress, want := range map[bool]string{false: "as stored", true: "unpacked"} {
		if _, body, err := get(t, New(Options{Decompress: decompress}), s.URL); body != want || err != nil {
			t.Errorf("decompress %v: got %q, error %v", decompress, body, err)
		}
	}
}

// Each number goes to the right field. Without a number, Go's default applies.
func TestNumbers(t *testing.T) {
	t.Setenv(CAVariable, "")
	got := New(Options{Handshake: 1, Header: 2, Idle: 3, Connections: 4, Kept: 5, KeptInAll: 6, HeaderBytes: 7, Buffer: 8})
	want := &http.Transport{TLSHandshakeTimeout: 1, ResponseHeaderTimeout: 2, IdleConnTimeout: 3, MaxConnsPerHost: 4,
		MaxIdleConnsPerHost: 5, MaxIdleConns: 6, MaxResponseHeaderBytes: 7, ReadBufferSize: 8, WriteBufferSize: 8,
		ExpectContinueTimeout: time.Second, ForceAttemptHTTP2: true, DisableCompression: true}
	same := []cmp.Option{cmpopts.IgnoreUnexported(http.Transport{}), cmpopts.IgnoreFields(http.Transport{}, "Proxy", "OnProxyConnectResponse", "DialContext")}
	if d := cmp.Diff(want, got, same...); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	want = &http.Transport{ExpectContinueTimeout: time.Second, ForceAttemptHTTP2: true, DisableCompression: true}
	if d := cmp.Diff(want, New(Options{}), same...); d != "" {
		t.Errorf("nothing said (-want +got):\n%s", d)
	}
}

func TestNoRedirect(t *testing.T) {
	s := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{CheckRedirect: NoRedirect}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || got != "/elsewhere" {
		t.Errorf("got %s to %q", resp.Status, got)
	}
}
