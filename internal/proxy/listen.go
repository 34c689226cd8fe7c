package proxy

import (
	"crypto/tls"
	"log" //nolint:depguard // net/http accepts nothing else
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"ociproxy/internal/clientip"
	"ociproxy/internal/config"
	"ociproxy/internal/listener"
	"ociproxy/internal/route"
)

// These are the files and connections that do not belong to clients: those of the admin port, feeds and inventories,
// the log, the runtime, and the requests that each candidate may have at once.
const (
	adminConnections = 64
	otherFiles       = 192
	candidateFiles   = outboundConnections
)

// publicServer returns the server of the public port.
func (s *Server) publicServer(cfg *config.Config) *http.Server {
	srv := HTTPServer(cfg.Limits, s.Handler())
	srv.ConnState = listener.State
	srv.ErrorLog = s.quiet()
	return srv
}

// quiet discards the messages of net/http: they quote what clients sent, so clients could choose how much is logged.
// The places where our own faults happen log them: the handlers log panics, the listener logs errors of accept.
func (s *Server) quiet() *log.Logger {
	return slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
}

// publicListener wraps the public port's listener. It bounds the connections and shares them among client networks.
func (s *Server) publicListener(l net.Listener, w *wiring) *listener.Listener {
	most := s.connections(w.cfg)
	s.metrics.MaxConnections.Set(float64(most))
	limits := w.cfg.Limits
	opt := listener.Options{
		Max: most, Network: route.Network, Logger: s.log, Observe: s.observeConnection,
		// A reload may change which peers are trusted.
		Front:     func(a netip.Addr) bool { return s.wiring.Load().address.Front(a) },
		Announces: w.address.Announces, Header: clientip.ReadProxyHeader,
		Handshake: min(limits.ReadHeaderTimeout, limits.ReadTimeout, limits.WriteTimeout),
	}
	if w.named.certs != nil {
		opt.TLS = s.tls(w)
	}
	return listener.New(l, opt)
}

// adminListener wraps the operators' listener. Load on the public port does not affect it.
func (s *Server) adminListener(l net.Listener) *listener.Listener {
	return listener.New(l, listener.Options{Max: adminConnections, Network: listener.Single, Logger: s.log})
}

// connections returns how many connections clients may have open, within the config's limit and the limit of open
// files.
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
		// This uses the wiring in use, so that a renewed certificate is served without a restart.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := s.wiring.Load().named.certs; c != nil {
				return c.cert, nil
			}
			return w.named.certs.cert, nil
		},
	}
}
