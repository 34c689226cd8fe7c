package demo

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"ociproxy/internal/outbound"
)

// headerForwarded is the header from which the proxy reads clients' addresses;
// the config says so.
const headerForwarded = "X-Forwarded-For"

// newFront returns a hop in front of the proxy that works like a load balancer.
// It keeps the X-Forwarded-For header of the request, and appends the address
// from which the connection really came. So a client behind it cannot choose
// where the proxy locates it.
//
// The caller closes the transport's idle connections when done.
func newFront(proxy string, transport *http.Transport) http.Handler {
	target := &url.URL{Scheme: "http", Host: proxy}
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			// ReverseProxy removes the header by default, because most callers
			// forget to do so.
			r.Out.Header[headerForwarded] = r.In.Header[headerForwarded]
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// newTransport returns an HTTP transport for loopback: it uses no proxy from
// the environment and has short time-outs.
func newTransport() *http.Transport {
	return outbound.New(outbound.Options{Direct: true, Header: 10 * time.Second, Idle: time.Minute})
}
