package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// Explaining returns a transport that makes requests with next. When a proxy of the environment answers instead of the
// host, its answers become errors, and these errors name the proxy. Every error says how to fix it, when that can be
// known ([Explain]).
func Explaining(next http.RoundTripper) http.RoundTripper { return explaining{next} }

type explaining struct{ next http.RoundTripper }

// way records how a request left.
type way struct{ proxy atomic.Pointer[string] }

type wayKey struct{}

// RoundTrip implements [http.RoundTripper].
func (e explaining) RoundTrip(req *http.Request) (*http.Response, error) {
	w := &way{}
	resp, err := e.next.RoundTrip(req.WithContext(context.WithValue(req.Context(), wayKey{}, w)))
	proxy := ""
	if p := w.proxy.Load(); p != nil {
		proxy = *p
	}
	if err == nil {
		if err = proxied(req, resp, proxy); err == nil {
			return resp, nil
		}
		resp.Body.Close()
	}
	var answer *ProxyError
	if proxy != "" && !errors.As(err, &answer) && !atProxy(err) && req.Context().Err() == nil {
		err = fmt.Errorf("through the proxy %s: %w", proxy, err)
	}
	return nil, Explain(err)
}

// CloseIdleConnections closes the idle connections of next. [http.Client] calls it by this name.
func (e explaining) CloseIdleConnections() {
	if c, ok := e.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// proxied returns an error when a proxy for plain HTTP gave the answer instead of the requested host, and nil
// otherwise. proxy is "" when no proxy is known. An answer that says when to come again is not an error: the client
// follows it, whether it is from the host or from the proxy.
func proxied(req *http.Request, resp *http.Response, proxy string) error {
	own := false
	for name := range resp.Header {
		own = own || strings.HasPrefix(name, "Proxy-") || name == "X-Squid-Error"
	}
	switch resp.StatusCode {
	case http.StatusProxyAuthRequired:
		if proxy == "" {
			proxy = "for " + req.URL.Host
		}
		return &ProxyError{Proxy: proxy, Status: resp.StatusCode}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if proxy != "" && req.URL.Scheme == "http" && resp.Header.Get("Retry-After") == "" {
			return &ProxyError{Proxy: proxy, Status: resp.StatusCode, Either: !own}
		}
	}
	return nil
}
