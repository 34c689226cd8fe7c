package outbound

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// connector is a proxy that requires a password and connects to any host.
func connector(t *testing.T, user, password string) *httptest.Server {
	t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			w.Header().Set("Proxy-Authenticate", "Basic")
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, read, err := http.NewResponseController(w).Hijack() // read may have the client's first bytes already
		if err != nil {
			return
		}
		defer here.Close()
		go func() { _, _ = io.Copy(there, read); there.Close() }()
		_, _ = io.Copy(here, there)
	}))
	t.Cleanup(s.Close)
	return s
}

// through makes a transport use a proxy. The proxy of the environment is read only once per process.
func through(t *testing.T, tr *http.Transport, proxy string) *http.Transport {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	tr.Proxy = http.ProxyURL(u)
	return tr
}

// Every certain failure is reported with advice on how to fix it, and as certain, so that it is not tried again.
func TestFailures(t *testing.T) {
	s, conf := secure(t, func(http.ResponseWriter, *http.Request) {})
	s.Config.ErrorLog = nil
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	proxy := connector(t, "user", "p@ss")
	other := conf.Clone()
	other.ServerName = "other.test"
	expired := conf.Clone()
	expired.Time = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
	host := strings.TrimPrefix(proxy.URL, "http://")
	for name, tt := range map[string]struct {
		transport *http.Transport
		url, want string
		certain   bool
	}{
		"unknown authority": {New(Options{}), s.URL, CAVariable, true},
		"another name":      {New(Options{TLS: other}), s.URL, "another name", true},
		"expired":           {New(Options{TLS: expired}), s.URL, "clock", true},
		"no TLS":            {New(Options{TLS: conf}), strings.Replace(plain.URL, "http:", "https:", 1), "scheme and port", true},
		"no such host":      {New(Options{}), "https://nowhere.invalid", "check the host", true},
		"no password":       {through(t, New(Options{TLS: conf}), proxy.URL), s.URL, "407 Proxy Authentication Required (put user and password into HTTPS_PROXY", true},
		"wrong password":    {through(t, New(Options{TLS: conf}), "http://user:wrong@"+host), s.URL, "answers 407", true},
		"refused":           {New(Options{}), closed.URL, "no server listens there", false},
		"proxy refuses":     {through(t, New(Options{TLS: conf}), closed.URL), s.URL, "check the proxy that HTTPS_PROXY", false},
		"beyond the proxy":  {through(t, New(Options{TLS: conf}), "http://user:p%40ss@"+host), closed.URL[:5] + "s" + closed.URL[4:], "", false},
		"the right one":     {through(t, New(Options{TLS: conf}), "http://user:p%40ss@"+host), s.URL, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := get(t, tt.transport, tt.url)
			if name == "the right one" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || Certain(err) != tt.certain || !strings.Contains(Explain(err).Error(), tt.want) {
				t.Errorf("%v, certain %v; want %q and %v", Explain(err), Certain(err), tt.want, tt.certain)
			}
			if again := Explain(fmt.Errorf("get: %w", Explain(err))); err != nil && strings.Count(again.Error(), "(") != strings.Count(Explain(err).Error(), "(") {
				t.Errorf("explained twice: %v", again)
			}
			if err != nil && (strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "p@ss")) {
				t.Errorf("a password in %v", err)
			}
		})
	}
	for _, err := range []error{nil, context.DeadlineExceeded, io.ErrUnexpectedEOF, syscall.ECONNRESET, tls.AlertError(80), &ProxyError{Status: 502}, &ProxyError{Status: 429}} {
		if Certain(err) || Explain(err) != err { //nolint:errorlint // the same value
			t.Errorf("%v: certain %v, explained as %v", err, Certain(err), Explain(err))
		}
	}
}

// certFile writes the certificate of a server.
func certFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The authorities of AWS_CA_BUNDLE are trusted in addition to those of the system, by every transport without roots of
// its own. The first request reports a bundle that cannot be used.
func TestRoots(t *testing.T) {
	s, _ := secure(t, func(http.ResponseWriter, *http.Request) {})
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ file, want string }{
		"trusted": {certFile(t, s), ""},
		"missing": {filepath.Join(t.TempDir(), "nowhere"), "AWS_CA_BUNDLE: open"},
		"no PEM":  {empty, "has no certificate"},
	} {
		t.Setenv(CAVariable, tt.file)
		for _, opt := range []Options{{}, {Direct: true}, {TLS: &tls.Config{MinVersion: tls.VersionTLS12}}} {
			_, _, err := get(t, New(opt), s.URL)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !Certain(err)) {
				t.Errorf("%s: %v, certain %v; want %q", name, err, Certain(err), tt.want)
			}
		}
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if _, _, err := get(t, New(Options{}), plain.URL); err != nil {
		t.Errorf("a request without TLS: %v", err)
	}
}

// A proxy variable that net/http would ignore makes the requests that it applies to fail, and the error does not
// contain its text. Requests to metadata servers never use a proxy.
func TestBadProxy(t *testing.T) {
	for _, bad := range []string{"http://user:sec#ret@proxy:3128", "http://user:sec%ret@proxy:3128", "ftp://proxy", "http://", "http://user:12/sec@proxy", "http://user:12?sec@proxy"} {
		t.Setenv("HTTPS_PROXY", bad)
		_, _, err := get(t, New(Options{}), "https://192.0.2.1/")
		if !errors.Is(err, errProxy) || !Certain(err) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v", bad, err)
		}
		for _, at := range []string{"http://169.254.169.254/", "https://169.254.170.2/", "https://[fd00:ec2::254]/", "https://127.0.0.1/"} {
			req := httptest.NewRequest(http.MethodGet, at, nil)
			if u, err := New(Options{}).Proxy(req); u != nil || err != nil {
				t.Errorf("%s: by %v, %v", at, u, err)
			}
		}
	}
	for _, good := range []string{"proxy:3128", "http://user:p%40ss@proxy:3128", "https://proxy", "socks5://proxy:1080", "http://proxy:3128/"} {
		t.Setenv("HTTPS_PROXY", good)
		if err := badProxy("HTTPS_PROXY"); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
