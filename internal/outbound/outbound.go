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

// Options limit the cost of connections. A zero means no limit, unless the field says otherwise. Then the request's
// context or the client's time-out ends the request.
type Options struct {
	// Direct makes connections without the proxy of the environment (HTTPS_PROXY and similar variables, which operators
	// of closed networks expect to work).
	Direct bool
	// DialContext makes the connections. Dial limits only connections that are made without it.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is copied. nil means Go's defaults.
	TLS *tls.Config

	Dial      time.Duration // from the name to a connection
	Handshake time.Duration // of the TLS handshake, after that
	Header    time.Duration // from the end of the request to the header of its answer
	Idle      time.Duration // how long an unused connection is kept

	Connections int // to one host at once; further requests wait
	Kept        int // unused connections kept; 0 means Go's 2. One HTTP/2 connection takes many requests
	KeptInAll   int // unused connections kept, to all hosts

	HeaderBytes int64 // in the header of an answer; 0 means Go's 10 MiB
	Buffer      int   // for reading, and another for writing; 0 means Go's 4 KiB

	// Decompress asks for gzip and unpacks it. Without it, bytes arrive as they are stored, and digests, sizes and
	// ranges refer to those.
	Decompress bool
}

// New makes a transport. Several goroutines may use it. The caller closes its idle connections. It trusts [Roots],
// unless Options.TLS has roots of its own.
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
		ForceAttemptHTTP2:      true, // net/http turns it off for a custom dialer or TLS config
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

// trust makes a transport trust the environment's authorities. When they cannot be read, each HTTPS request fails with
// the reason.
func trust(t *http.Transport) {
	roots, err := Roots()
	if err != nil {
		next := t.Proxy
		t.Proxy = func(r *http.Request) (*url.URL, error) { // the transport calls it first
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

// NoRedirect is the policy of a client that receives redirects instead of following them ([http.Client.CheckRedirect]).
func NoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// OneRedirect is the policy of a client that follows one redirect on the requested host ([http.Client.CheckRedirect]),
// for example to the path with a slash, or to another path of the same registry. The client receives further redirects,
// and redirects to another host, instead of following them. The default port of a scheme may be written or left out.
func OneRedirect(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	sameHost := strings.EqualFold(req.URL.Hostname(), from.Hostname()) && ownPort(req.URL) == ownPort(from)
	if len(via) > 1 || !sameHost || from.Scheme == "https" && req.URL.Scheme != "https" || req.URL.User != nil {
		return http.ErrUseLastResponse
	}
	return nil
}

// ownPort returns the port of u, or "" for the default port of its scheme.
func ownPort(u *url.URL) string {
	port := u.Port()
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return ""
	}
	return port
}
