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
	"sync"
	"syscall"
	"time"
)

// ProxyError is what a proxy answered in place of the host that was asked.
type ProxyError struct {
	Proxy  string // its host and port
	Status int
}

// Error implements error.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s answers %d %s", e.Proxy, e.Status, http.StatusText(e.Status))
}

// certain: a proxy that wants other credentials, or lets nobody through to there, does so again.
func (e *ProxyError) certain() bool {
	return e.Status/100 == 4 && e.Status != http.StatusTooManyRequests
}

// Proxied returns the error of an answer that is not of the host that was asked but of a proxy for plain HTTP, which wants
// credentials; nil for all others. The caller closes the body.
func Proxied(req *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusProxyAuthRequired {
		return nil
	}
	return &ProxyError{Proxy: "for " + req.URL.Host, Status: resp.StatusCode}
}

// throughProxy is [http.Transport.OnProxyConnectResponse].
func throughProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Status: answer.StatusCode}
}

// Certain reports whether a request that failed with err, without an answer, fails again in the same way until somebody changes
// something: a certificate that nobody trusts, a name that does not exist, a port that does not speak TLS, a proxy that
// wants a password.
func Certain(err error) bool {
	_, ours := errors.AsType[environmentError](err)
	return ours || remedy(err) != "" && !Refused(err)
}

// Refused reports whether nobody listens where a connection was to be made. That may be a server that is being restarted.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// Explain adds to the error of a request what is to be done about it, when that can be known.
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

// remedy is one sentence, "" when there is nothing to advise.
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
		return "put user and password into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT"
	case errors.As(err, &proxy) && proxy.certain():
		return "let the proxy connect to this host, or name the host in NO_PROXY"
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
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the host in the URL, and the resolver of this machine"
	case Refused(err):
		return "nobody listens there: check host and port of the URL, and whether the server runs"
	}
	return ""
}

// internalError is the alert of a server that has trouble of its own (RFC 8446, 6.2).
const internalError tls.AlertError = 80

// How long a host may refuse connections until that is taken for its last word: one that never answered, and one that did and may
// be being restarted. Refusals further apart than refusalsApart have nothing to do with each other.
const (
	refusedFirst   = time.Second
	refusedRestart = 30 * time.Second
	refusalsApart  = time.Minute
)

// Verdicts tells of one host whether asking it again soon can help. The zero value is ready. Its methods may be called from several
// goroutines.
type Verdicts struct {
	mu          sync.Mutex
	since, last time.Time // of the refusals in a row; zero: there are none
	answered    bool
}

// Final takes how a request ended, nil when an answer came, whatever it was. It reports whether there is no use in asking again: at
// once for what is [Certain], and when the host has refused connections for a second, or for half a minute when it has
// answered before.
func (v *Verdicts) Final(err error) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err == nil {
		v.since, v.answered = time.Time{}, true
		return false
	}
	if !Refused(err) {
		return Certain(err)
	}
	now := time.Now()
	if v.since.IsZero() || now.Sub(v.last) > refusalsApart {
		v.since = now
	}
	v.last = now
	patience := refusedFirst
	if v.answered {
		patience = refusedRestart
	}
	return now.Sub(v.since) >= patience
}

// New reports that the host has never answered.
func (v *Verdicts) New() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.answered
}
