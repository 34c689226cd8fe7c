package s3

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// meter stands between clients and the server and counts what each answer sends: versitygw's access log has the
// request's id, but 0 for the bytes of a GET.
type meter struct {
	*httptest.Server

	mu    sync.Mutex
	bytes map[string]int64 // by request id, of answers that have ended
}

func newMeter(t testing.TB, backend string) *meter {
	t.Helper()
	m := &meter{bytes: map[string]int64{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: backend}) },
		ModifyResponse: func(resp *http.Response) error {
			resp.Body = &metered{ReadCloser: resp.Body, meter: m, id: resp.Header.Get("X-Amz-Request-Id")}
			return nil
		},
		// A client that hangs up is a client's right.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	m.Server = httptest.NewServer(proxy)
	t.Cleanup(m.Close)
	return m
}

// sent returns the bytes of an answer, and whether it has ended.
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
}

func (b *metered) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

func (b *metered) Close() error {
	b.meter.mu.Lock()
	b.meter.bytes[b.id] = b.n
	b.meter.mu.Unlock()
	return b.ReadCloser.Close()
}
