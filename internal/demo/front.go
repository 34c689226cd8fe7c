package demo

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"ociproxy/internal/outbound"
)

// headerForwarded is the header the proxy is told to read clients' addresses from.
const headerForwarded = "X-Forwarded-For"

// newFront is a hop in front of the proxy that does what a load balancer does:
// it leaves the X-Forwarded-For it was sent as it is, and appends the address
// the connection really came from. Whoever comes through it cannot choose where
// the proxy thinks they are.
//
// The caller closes the transport's idle connections when done.
func newFront(proxy string, transport *http.Transport) http.Handler {
	target := &url.URL{Scheme: "http", Host: proxy}
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			// ReverseProxy drops the header by itself, since most people forget to.
			r.Out.Header[headerForwarded] = r.In.Header[headerForwarded]
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// newTransport is an HTTP transport for loopback: no environment proxy, short
// time-outs.
func newTransport() *http.Transport {
	return outbound.New(outbound.Options{Direct: true, Header: 10 * time.Second, Idle: time.Minute})
}
