package outbound

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are what connections may cost. A zero is no bound, where nothing else is said: the request's context, or its
// client's time-out, is then what ends it.
type Options struct {
	// Direct connections use no proxy of the environment (HTTPS_PROXY and its kind, which operators of closed networks
	// expect to be honoured otherwise).
	Direct bool
	// DialContext makes connections in its own way; Dial bounds only those made without it.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is copied. nil is Go's defaults.
	TLS *tls.Config

	Dial      time.Duration // from the name to a connection
	Handshake time.Duration // of TLS, after that
	Header    time.Duration // from the end of the request to the header of its answer
	Idle      time.Duration // for how long a connection is kept that nobody uses

	Connections int // to one host at once; more requests wait for one
	Kept        int // of them, unused; 0 is Go's 2. One of HTTP/2 takes many requests
	KeptInAll   int // unused, to all hosts

	HeaderBytes int64 // of an answer; 0 is Go's 10 MiB
	Buffer      int   // for reading, and another for writing; 0 is Go's 4 KiB

	// Decompress asks for gzip and unpacks it. Else bytes are taken as they are stored, which is what digests, sizes and
	// ranges speak of.
	Decompress bool
}

// New makes a transport, which several goroutines may use. The caller closes its idle connections. It trusts [Roots], unless
// Options.TLS has its own.
func New(opt Options) *http.Transport {
	t := &http.Transport{
		DialContext:            opt.DialContext,
		TLSClientConfig:        opt.TLS.Clone(),
		TLSHandshakeTimeout:    opt.Handshake,
		ResponseHeaderTimeout:  opt.Header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        opt.Idle,
		MaxConnsPerHost:        opt.Connections,
		MaxIdleConnsPerHost:    opt.Kept,
		MaxIdleConns:           opt.KeptInAll,
		MaxResponseHeaderBytes: opt.HeaderBytes,
		ReadBufferSize:         opt.Buffer,
		WriteBufferSize:        opt.Buffer,
		DisableCompression:     !opt.Decompress,
		ForceAttemptHTTP2:      true, // net/http drops it for who dials, or brings a TLS config
	}
	if !opt.Direct {
		t.Proxy, t.OnProxyConnectResponse = proxy(), throughProxy
	}
	if t.TLSClientConfig == nil || t.TLSClientConfig.RootCAs == nil {
		trust(t)
	}
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: opt.Dial, KeepAlive: 30 * time.Second}).DialContext
	}
	return t
}

// trust makes a transport trust the environment's authorities. When they cannot be had, each request by HTTPS says why.
func trust(t *http.Transport) {
	roots, err := Roots()
	if err != nil {
		next := t.Proxy
		t.Proxy = func(r *http.Request) (*url.URL, error) { // what is asked before anything else
			if r.URL.Scheme == "https" {
				return nil, err
			}
			if next == nil {
				return nil, nil
			}
			return next(r)
		}
	}
	if roots != nil {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = new(tls.Config)
		}
		t.TLSClientConfig.RootCAs = roots
	}
}

// NoRedirect is the policy of a client that is to see redirects instead of following them
// ([http.Client.CheckRedirect]).
func NoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// OneRedirect is the policy of a client that follows one redirect on the host that was asked
// ([http.Client.CheckRedirect]): with or without a slash, another path of the same registry. Further ones and those
// that lead elsewhere are seen instead of followed. A port that is its scheme's own may be said or left out.
func OneRedirect(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	sameHost := strings.EqualFold(req.URL.Hostname(), from.Hostname()) && ownPort(req.URL) == ownPort(from)
	if len(via) > 1 || !sameHost || from.Scheme == "https" && req.URL.Scheme != "https" || req.URL.User != nil {
		return http.ErrUseLastResponse
	}
	return nil
}

// ownPort is the port of u, "" for the one that its scheme has anyway.
func ownPort(u *url.URL) string {
	port := u.Port()
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return ""
	}
	return port
}
