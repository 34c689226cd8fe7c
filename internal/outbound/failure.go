package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// ProxyError is the answer of a proxy instead of the requested host.
type ProxyError struct {
	Proxy  string // its host and port
	Status int
	// Either means that the host itself may have answered: in plain HTTP, the answer does not show who gave it.
	Either bool
}

// Error implements error.
func (e *ProxyError) Error() string {
	if e.Either {
		return fmt.Sprintf("through the proxy %s: status %d %s, of the proxy or of the host behind it", e.Proxy, e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("the proxy %s answers %d %s", e.Proxy, e.Status, http.StatusText(e.Status))
}

// certain reports whether the proxy will give the same answer again: it wants other credentials, or lets no request
// through to this host.
func (e *ProxyError) certain() bool {
	return e.Status/100 == 4 && e.Status != http.StatusTooManyRequests
}

// throughProxy is [http.Transport.OnProxyConnectResponse].
func throughProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Status: answer.StatusCode}
}

// Certain reports whether a request that failed with err, without an answer, will fail in the same way until an
// operator changes something: a certificate that is not trusted, a name that does not exist, a port that does not speak
// TLS, a proxy that wants a password.
func Certain(err error) bool {
	_, ours := errors.AsType[environmentError](err)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return true
	}
	return ours || remedy(err) != "" && !Refused(err) && !atProxy(err) // a proxy may be busy or restarting
}

// atProxy reports whether the connection to a proxy failed.
func atProxy(err error) bool {
	op, ok := errors.AsType[*net.OpError](err) // the outermost
	return ok && op.Op == "proxyconnect"
}

// Refused reports whether no server listens at the target of a connection. The server may be restarting.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// Explain adds to the error of a request, or of the body of an answer, how to fix it, when that can be known.
func Explain(err error) error {
	var done *explained
	if what := remedy(err); what != "" && !errors.As(err, &done) {
		return &explained{err, what}
	}
	return err
}

type explained struct {
	error
	remedy string
}

func (e *explained) Error() string { return e.error.Error() + " (" + e.remedy + ")" }
func (e *explained) Unwrap() error { return e.error }

// remedy returns one sentence of advice, or "" when there is none.
func remedy(err error) string {
	var (
		proxy    *ProxyError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		roots    x509.SystemRootsError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		dns      *net.DNSError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &proxy) && proxy.Status == http.StatusProxyAuthRequired:
		return "put user and password into HTTPS_PROXY, or HTTP_PROXY for http:// URLs: http://USER:PASSWORD@HOST:PORT"
	case errors.As(err, &proxy) && proxy.certain():
		return "let the proxy connect to this host, or name the host in NO_PROXY"
	case (errors.As(err, &unknown) || errors.As(err, &roots)) && badRoots() != nil:
		return badRoots().Error() + ": its authorities are not trusted"
	case errors.As(err, &unknown), errors.As(err, &roots):
		return "trust its authority: name its certificate in SSL_CERT_FILE or " + CAVariable
	case errors.As(err, &hostname):
		return "the certificate is for another name than the URL has"
	case errors.As(err, &invalid):
		return "the server needs another certificate, or this machine's clock is wrong"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), `malformed HTTP response "\x15`):
		return "http and https are confused: check scheme and port of the URL"
	case errors.As(err, &alert) && alert != internalError:
		return "the server refuses the TLS handshake: does it want a client's certificate, or an older TLS?"
	case atProxy(err):
		return "check the proxy that HTTPS_PROXY, or HTTP_PROXY for http:// URLs, names; hosts named in NO_PROXY are asked without it"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the host in the URL, and the resolver of this machine"
	case Refused(err):
		return "no server listens there: check host and port of the URL, and whether it runs"
	}
	return ""
}

// internalError is the alert of a server with an internal problem (RFC 8446, 6.2).
const internalError tls.AlertError = 80
