package token

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ociproxy/test/authority"
)

// network is where the names of the clouds lead to this machine. Only its proxy knows them.
type network struct {
	authority *authority.Authority
	proxy     string
	nothing   string // a directory without certificates
}

// newNetwork makes a network. hosts are served here, and tunnels are names of servers (host:port) with certificates of the
// authority.
func newNetwork(t testing.TB, ca *authority.Authority, hosts map[string]http.Handler, tunnels map[string]string) *network {
	t.Helper()
	var names []string
	for name := range hosts {
		names = append(names, name)
	}
	issued := ca.Issue(t, time.Hour, names...)
	cert, err := tls.LoadX509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := hosts[r.Host]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, "no such host", http.StatusMisdirectedRequest)
	}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.StartTLS()
	t.Cleanup(front.Close)
	connector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		to := tunnels[name]
		if hosts[name] != nil {
			to = front.Listener.Addr().String()
		}
		if r.Method != http.MethodConnect || err != nil || to == "" {
			http.Error(w, "no such host: "+r.Host, http.StatusForbidden)
			return
		}
		tunnel(w, r, to)
	}))
	t.Cleanup(connector.Close)
	return &network{ca, connector.Listener.Addr().String(), t.TempDir()}
}

// tunnel copies bytes in both directions.
func tunnel(w http.ResponseWriter, r *http.Request, to string) {
	there, err := new(net.Dialer).DialContext(r.Context(), "tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, begun, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	go func() {
		_, _ = io.Copy(there, begun) // the server may have read the first bytes already
		there.Close()
	}()
	_, _ = io.Copy(here, there)
}

// env returns the environment that a program needs in this network.
func (n *network) env(more ...string) []string {
	return append([]string{"NO_PROXY=", "HTTPS_PROXY=http://" + n.proxy, n.authority.Trust(), "SSL_CERT_DIR=" + n.nothing}, more...)
}
