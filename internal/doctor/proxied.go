package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
)

// proxied goes to a host through the proxy of the environment, as container runtimes do.
func (d *doctor) proxied(ctx context.Context, h *Host, proxy *url.URL) *Try {
	t := &Try{Host: h.Address, What: "proxy", Result: judge.Failed, proxy: proxy.Host}
	transport := outbound.New(outbound.Options{
		DialContext: d.dial, TLS: d.inspecting(h.Name), Handshake: d.opt.Timeout, HeaderBytes: maxLook,
	})
	transport.Proxy = d.proxy
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url(h.path()), http.NoBody)
	if err != nil {
		t.Fault, t.Detail = unknown, err.Error()
		return t
	}
	req.Header.Set("User-Agent", d.opt.UserAgent)
	resp, err := outbound.Explaining(transport).RoundTrip(req)
	if err != nil {
		t.Fault, t.Status = throughProxy(err)
		t.Detail = fmt.Sprintf("through %s: %s", proxy.Host, reason(err))
		return t
	}
	defer resp.Body.Close()
	t.dated(resp.Header)
	if resp.TLS != nil && !d.judge(t, resp.TLS, h.Name) {
		return t
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the beginning is enough
	answer := judge.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
	if t.Status = resp.StatusCode; isPage(answer) {
		t.Fault, t.Detail = webPage, fmt.Sprintf("%d with a web page", resp.StatusCode)
		return t
	}
	t.Result, t.Detail = judge.OK, fmt.Sprintf("through %s%s", proxy.Host, t.certificate())
	return t
}

// throughProxy is the fault of a request through a proxy, and the status of the proxy's answer.
func throughProxy(err error) (Fault, int) {
	var answer *outbound.ProxyError
	switch op, _ := errors.AsType[*net.OpError](err); {
	case errors.As(err, &answer) && answer.Status == http.StatusProxyAuthRequired:
		return proxyLogin, answer.Status
	case errors.As(err, &answer) && answer.Status/100 == 4:
		return proxyRefuses, answer.Status
	case errors.As(err, &answer):
		return proxyFails, answer.Status
	case op != nil && op.Op == "proxyconnect":
		return proxyDead, 0
	}
	return talking(err), 0
}

// asking is the fault of a request that was made as runtimes do, and the status of a proxy's answer.
func asking(err error) (Fault, int) {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	fault, status := throughProxy(err)
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case status != 0, fault == proxyDead:
		return fault, status
	case errors.As(err, &dns) && dns.IsNotFound:
		return noRecord, 0
	case errors.As(err, &dns):
		return noResolver, 0
	case errors.As(err, &authority):
		return untrusted, 0
	case errors.As(err, &hostname):
		return wrongName, 0
	case errors.As(err, &invalid):
		return badTime, 0
	case op != nil && op.Op == "dial":
		return connecting(err), 0
	}
	return fault, 0
}
