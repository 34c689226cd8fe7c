package s3

import (
	"crypto/tls"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"ociproxy/test/parts"
)

// meter stands between clients and the server, and counts what each answer sends. It is needed because versitygw's
// access log has the request's id, but 0 for the bytes of a GET.
type meter struct {
	*httptest.Server

	mu    sync.Mutex
	bytes map[string]int64 // by request id, for answers that have ended
	cuts  map[string]int64 // by path: where to cut the next answer
}

// newMeter starts a meter, which speaks HTTPS with the certificate if there is one.
func newMeter(t testing.TB, backend string, certificates ...tls.Certificate) *meter {
	t.Helper()
	m := &meter{bytes: map[string]int64{}, cuts: map[string]int64{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: backend}) },
		ModifyResponse: func(resp *http.Response) error {
			resp.Body = &metered{ReadCloser: resp.Body, meter: m, id: resp.Header.Get("X-Amz-Request-Id"), left: m.cut(resp.Request)}
			return nil
		},
		// A client may hang up: log nothing.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	m.Server = httptest.NewUnstartedServer(proxy)
	_ = m.Listener.Close() // on loopback, where not all tests listen
	var err error
	if m.Listener, err = net.Listen("tcp", net.JoinHostPort(parts.Host(), "0")); err != nil {
		t.Fatal(err)
	}
	if len(certificates) > 0 {
		m.TLS = &tls.Config{Certificates: certificates}
		m.StartTLS()
	} else {
		m.Start()
	}
	t.Cleanup(m.Close)
	return m
}

// cut returns how many bytes of the answer may pass. Each cut is made once.
func (m *meter) cut(r *http.Request) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	after, ok := m.cuts[r.URL.Path]
	if !ok || r.Method != http.MethodGet {
		return math.MaxInt64
	}
	delete(m.cuts, r.URL.Path)
	return after
}

// sent returns the bytes of an answer and whether the answer has ended.
func (m *meter) sent(id string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.bytes[id]
	return n, ok
}

type metered struct {
	io.ReadCloser
	meter *meter
	id    string
	n     int64
	left  int64 // until the cut
}

// Read fails where the answer must be cut. The reverse proxy then drops the connection.
func (b *metered) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.n += int64(n)
	b.left -= int64(n)
	return n, err
}

func (b *metered) Close() error {
	b.meter.mu.Lock()
	b.meter.bytes[b.id] = b.n
	b.meter.mu.Unlock()
	return b.ReadCloser.Close()
}
