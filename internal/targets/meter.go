package targets

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"

	"ociproxy/internal/outbound"
)

// meter counts the requests of one bucket.
type meter struct {
	base     *http.Transport
	requests atomic.Int64
}

func newMeter() *meter { return &meter{base: newTransport()} }

// RoundTrip implements [http.RoundTripper].
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	m.requests.Add(1)
	return m.base.RoundTrip(req)
}

// Trust makes the bucket's transport trust other authorities; before the first request.
func (m *meter) Trust(roots *x509.CertPool) { m.base.TLSClientConfig = &tls.Config{RootCAs: roots} } //nolint:gosec // Go's default is TLS 1.2

// CloseIdleConnections is what [http.Client] calls it.
func (m *meter) CloseIdleConnections() { m.base.CloseIdleConnections() }

func (m *meter) close() { m.base.CloseIdleConnections() }

// maxConnections to one host: uploads of eight blobs in four parts each.
const maxConnections = 64

// newTransport bounds connections, and every step in which a peer may leave us waiting but the body, whose reader has a time-out of its own.
func newTransport() *http.Transport {
	return outbound.New(outbound.Options{
		Dial: 10 * time.Second, Handshake: 10 * time.Second, Idle: 60 * time.Second,
		Connections: maxConnections, Kept: maxConnections, KeptInAll: maxConnections, HeaderBytes: 256 << 10,
	})
}
