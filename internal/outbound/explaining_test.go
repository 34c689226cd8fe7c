package outbound

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// byProxy makes all requests use a proxy, as the environment would.
func byProxy(t *testing.T, proxy string) {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	usual := fromEnvironment
	fromEnvironment = func(*http.Request) (*url.URL, error) { return u, nil }
	t.Cleanup(func() { fromEnvironment = usual })
}

// When a proxy answers instead of the host, in plain HTTP and by CONNECT, the error says so, with the proxy's address
// and without its password. When the answer may be from either, the error says that.
func TestExplaining(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, tt := range map[string]struct {
		url    string
		status int // 0: the connection is closed
		header http.Header
		down   bool
		want   []string // empty when an answer is expected
		not    string
	}{
		"a password, plainly":      {"http://store.test/", 407, nil, false, []string{"the proxy {} answers 407", "HTTP_PROXY"}, "store"},
		"a password":               {"https://store.test/", 407, nil, false, []string{"the proxy {} answers 407", "HTTPS_PROXY"}, "store"},
		"502, plainly":             {"http://store.test/", 502, nil, false, []string{"through the proxy {}: status 502", "or of the host behind it"}, ""},
		"504, plainly":             {"http://store.test/", 504, nil, false, []string{"through the proxy {}: status 504"}, ""},
		"502, and it says so":      {"http://store.test/", 502, http.Header{"Proxy-Status": {"p; error=dns_error"}}, false, []string{"the proxy {} answers 502"}, "behind"},
		"squid's 503":              {"http://store.test/", 503, http.Header{"X-Squid-Error": {"ERR_CONNECT_FAIL 111"}}, false, []string{"the proxy {} answers 503"}, "behind"},
		"503 that is to be heeded": {"http://store.test/", 503, http.Header{"Retry-After": {"1"}}, false, nil, ""},
		"502 by CONNECT":           {"https://store.test/", 502, nil, false, []string{"the proxy {} answers 502"}, "behind"},
		"404, plainly":             {"http://store.test/", 404, nil, false, nil, ""},
		"closed, plainly":          {"http://store.test/", 0, nil, false, []string{"through the proxy {}: EOF"}, ""},
		"closed":                   {"https://store.test/", 0, nil, false, []string{"through the proxy {}: ", "EOF"}, ""},
		"refused":                  {"https://store.test/", 0, nil, true, []string{"proxyconnect", "{}", "HTTPS_PROXY", "NO_PROXY"}, "no server listens"},
		"refused, plainly":         {"http://store.test/", 0, nil, true, []string{"proxyconnect", "{}", "HTTP_PROXY"}, "no server listens"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header()[k] = v
				}
				if tt.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(tt.status)
			}))
			t.Cleanup(proxy.Close)
			host := strings.TrimPrefix(proxy.URL, "http://")
			if tt.down {
				host = strings.TrimPrefix(closed.URL, "http://")
			}
			byProxy(t, "http://user:s3cret@"+host)
			client := &http.Client{Transport: Explaining(New(Options{}))}
			resp, err := client.Get(tt.url)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if err == nil {
				return
			}
			inner := errors.Unwrap(err).Error() // without the URL
			for _, want := range tt.want {
				if !strings.Contains(inner, strings.ReplaceAll(want, "{}", host)) {
					t.Errorf("%s: want %q in it", inner, want)
				}
			}
			if tt.not != "" && strings.Contains(inner, tt.not) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: want neither %q nor a password in it", err, tt.not)
			}
		})
	}
}

// The variables that name authorities are checked beforehand. A fault names the variable and its file. Later, an error
// about an unknown authority names the variable too.
func TestEnvironmentFaults(t *testing.T) {
	s, _ := secure(t, func(http.ResponseWriter, *http.Request) {})
	s.Config.ErrorLog = nil
	good := filepath.Join(t.TempDir(), "good.pem")
	if err := os.WriteFile(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		variable, value string
		want            string
	}{
		"none":                     {CAVariable, "", ""},
		"a good bundle":            {CAVariable, good, ""},
		"no bundle":                {CAVariable, "/nope.pem", "AWS_CA_BUNDLE: open /nope.pem"},
		"an empty bundle":          {CAVariable, bad, "AWS_CA_BUNDLE: " + bad},
		"a good file":              {"SSL_CERT_FILE", good, ""},
		"no file":                  {"SSL_CERT_FILE", "/nope.pem", "SSL_CERT_FILE: open /nope.pem"},
		"no certificate in a file": {"SSL_CERT_FILE", bad, "SSL_CERT_FILE: " + bad},
		"a good directory":         {"SSL_CERT_DIR", filepath.Dir(good), ""},
		"one of two directories":   {"SSL_CERT_DIR", "/nope" + string(filepath.ListSeparator) + filepath.Dir(good), ""},
		"no directory":             {"SSL_CERT_DIR", "/nope", "SSL_CERT_DIR: open /nope"},
		"nothing in a directory":   {"SSL_CERT_DIR", filepath.Dir(bad), "SSL_CERT_DIR: " + filepath.Dir(bad)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			faults := EnvironmentFaults()
			if len(faults) != 0 && tt.want == "" || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0].Error(), tt.want)) {
				t.Errorf("%v, want %q", faults, tt.want)
			}
			if tt.want == "" || tt.variable == CAVariable {
				return
			}
			client := &http.Client{Transport: Explaining(New(Options{}))}
			resp, err := client.Get(s.URL)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !Certain(err) {
				t.Errorf("%v: want %q in it", err, tt.want)
			}
		})
	}
}
