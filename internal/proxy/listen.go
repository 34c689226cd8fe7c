package proxy

import (
	"crypto/tls"
	"log" //nolint:depguard // net/http takes nothing else
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"ociproxy/internal/clientip"
	"ociproxy/internal/config"
	"ociproxy/internal/listener"
	"ociproxy/internal/route"
)

// Files and connections that are not clients': those of the admin port, feeds and inventories, the log, the runtime,
// and what each candidate may be asked at once.
const (
	adminConnections = 64
	otherFiles       = 192
	candidateFiles   = outboundConnections
)

// publicServer is the server of the public port.
func (s *Server) publicServer(cfg *config.Config) *http.Server {
	srv := HTTPServer(cfg.Limits, s.Handler())
	srv.ConnState = listener.State
	srv.ErrorLog = s.quiet()
	return srv
}

// quiet takes what net/http has to say: it quotes what clients sent, so that no word of it decides how loud it is.
// What is our own fault is logged where it happens: panics by the handlers, accepting by the listener.
func (s *Server) quiet() *log.Logger {
	return slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
}

// publicListener is the public port's: its connections are bounded and shared between the networks of clients.
func (s *Server) publicListener(l net.Listener, w *wiring) net.Listener {
	most := s.connections(w.cfg)
	s.metrics.MaxConnections.Set(float64(most))
	limits := w.cfg.Limits
	opt := listener.Options{
		Max: most, Network: route.Network, Logger: s.log, Observe: s.observeConnection,
		// The trusted may change by a reload.
		Front:     func(a netip.Addr) bool { return s.wiring.Load().address.Front(a) },
		Announces: w.address.Announces, Header: clientip.ReadProxyHeader,
		Handshake: min(limits.ReadHeaderTimeout, limits.ReadTimeout, limits.WriteTimeout),
	}
	if w.certs != nil {
		opt.TLS = s.tls(w)
	}
	return listener.New(l, opt)
}

// adminListener is the operators': what clients do to the public port leaves it alone.
func (s *Server) adminListener(l net.Listener) net.Listener {
	return listener.New(l, listener.Options{Max: adminConnections, Network: listener.Single, Logger: s.log})
}

// connections is how many clients may have open: as the configuration says, and as the open files allow.
func (s *Server) connections(cfg *config.Config) int {
	files := listener.RaiseDescriptors()
	kept := adminConnections + otherFiles + candidateFiles*(len(cfg.Upstreams)+len(cfg.Stores))
	if cfg.Client.Rule().ProxyProtocol {
		kept += listener.Unnamed
	}
	wanted := cfg.Limits.MaxConnections
	most := listener.Bound(wanted, files, kept)
	if most < wanted {
		s.log.Warn("fewer connections than limits.maxConnections: this process may not open more files",
			"connections", most, "maxConnections", wanted, "files", files, "kept", kept,
			"hint", "raise the limit of open files (ulimit -n, LimitNOFILE=) or lower limits.maxConnections")
	}
	return most
}

func (s *Server) observeConnection(e listener.Event) {
	switch e {
	case listener.Opened:
		s.metrics.Connections.Inc()
	case listener.Closed:
		s.metrics.Connections.Dec()
	case listener.Displaced:
		s.metrics.Crowded.WithLabelValues("displaced").Inc()
	case listener.Refused:
		s.metrics.Crowded.WithLabelValues("refused").Inc()
	}
}

func (s *Server) tls(w *wiring) *tls.Config {
	return &tls.Config{
		MinVersion: minTLS(w.cfg.TLS.MinVersion),
		NextProtos: []string{"h2", "http/1.1"},
		// Of the present wiring, so that a renewed certificate is served without a restart.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := s.wiring.Load().certs; c != nil {
				return c.cert, nil
			}
			return w.certs.cert, nil
		},
	}
}
