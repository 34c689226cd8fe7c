package doctor

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ociproxy/internal/cli"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/oci"
	"ociproxy/internal/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a registry that redirects layers to a store, both by HTTPS with the same private authority.
type site struct {
	registry, store *httptest.Server
	roots           *x509.CertPool
	// front and answers change what the registry and the store answer. They report whether they did.
	front, answers func(http.ResponseWriter, *http.Request) bool
	list           string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{roots: x509.NewCertPool()}
	texts := []string{"the first layer", strings.Repeat("the second layer ", 1000)}
	layers := map[string][]byte{}
	for _, text := range append(texts, registrytest.Config(texts...)) {
		layers[oci.Sum("sha256", []byte(text)).String()] = []byte(text)
	}
	images := registrytest.New(t, registrytest.Options{})
	images.Image("sample/app", "1.0", texts...)
	s.store = server(t, func(rw http.ResponseWriter, r *http.Request) {
		layer, found := layers[strings.TrimPrefix(r.URL.Path, "/layers/")]
		switch {
		case s.answers != nil && s.answers(rw, r):
		case !found:
			http.NotFound(rw, r)
		default:
			rw.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(layer))
		}
	})
	s.registry = server(t, func(rw http.ResponseWriter, r *http.Request) {
		_, digest, layer := strings.Cut(r.URL.Path, "/blobs/")
		switch {
		case s.front != nil && s.front(rw, r):
		case r.URL.Path == endpoints.Path && s.list != "":
			_, _ = io.WriteString(rw, s.list)
		case layer:
			http.Redirect(rw, r, s.store.URL+"/layers/"+digest+"?signature=secret", http.StatusTemporaryRedirect)
		default:
			images.ServeHTTP(rw, r)
		}
	})
	s.roots.AddCert(s.registry.Certificate())
	return s
}

func server(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func name(s *httptest.Server) string { return s.Listener.Addr().String() }

func (s *site) examine(t *testing.T, image string, opt Options) *Report {
	t.Helper()
	target, err := ParseTarget("https://" + name(s.registry) + image)
	if err != nil {
		t.Fatal(err)
	}
	if opt.Roots == nil {
		opt.Roots = s.roots
	}
	if opt.Proxy == nil {
		opt.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	return Examine(t.Context(), target, opt)
}

// answer is an answer to requests for layers or manifests.
func answer(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/layers/") && !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.Header().Set("Content-Type", kind)
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
		return true
	}
}

// always answers everything.
func always(status int) func(http.ResponseWriter, *http.Request) bool {
	return func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(status); return true }
}

func TestExamine(t *testing.T) {
	const denial = `<Error><Code>AccessDenied</Code></Error>`
	tests := []struct {
		name  string
		image string // "-": none
		set   func(*site)
		opt   Options
		kind  string
		side  Side
		says  string // a part of the sentence
	}{
		{name: "well", kind: "well", side: Nobody, says: "a layer came complete and unchanged"},
		{name: "no image", image: "-", kind: "well", side: Nobody, says: "name an image"},
		{name: "other image", image: "/sample/app:2.0", kind: "no-image", side: User, says: "has no image sample/app:2.0"},
		{name: "denied", set: func(s *site) {
			s.answers = answer(403, "application/xml", denial)
			s.list = listOf(t, s.store, "arn:aws:s3:::sample-layers")
		}, kind: "denied", side: Network, says: "arn:aws:s3:::sample-layers/*"},
		{name: "denied without a list", set: func(s *site) { s.answers = answer(403, "application/xml", denial) },
			kind: "denied", side: Network, says: "arn:aws:s3:::layers/*"},
		{name: "filtered", set: func(s *site) { s.answers = answer(403, "text/plain", "no") }, kind: "denied", side: Network, says: "web filter"},
		{name: "page", set: func(s *site) { s.answers = answer(200, "text/html", "<html>") }, kind: "web-page", side: Network, says: "log in"},
		{name: "page of the registry", set: func(s *site) {
			s.front = func(rw http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(rw, "<html>"); return true }
		},
			kind: "web-page", side: Network, says: "log in"},
		{name: "changed", set: func(s *site) { s.answers = answer(200, "application/octet-stream", "other bytes") }, kind: "changed", side: Network, says: "changes the bytes"},
		{name: "no ranges", set: func(s *site) {
			s.answers = func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Range"); return false }
		}, kind: "ranges", side: Network, says: "breaks requests for a part"},
		{name: "broken", set: func(s *site) { s.front = always(503) }, kind: "server-error", side: Owner, says: "503 Service Unavailable"},
		{name: "limited", set: func(s *site) { s.front = always(429) }, kind: "rate-limit", side: Owner, says: "(429)"},
		{name: "login", set: func(s *site) { s.front = always(401) }, kind: "login", side: Owner, says: "(401)"},
		{name: "no registry", set: func(s *site) { s.front = always(404) }, kind: "answer", side: Owner, says: "does not answer as a registry"},
		{name: "lost", set: func(s *site) { s.answers = answer(404, "text/plain", "") }, kind: "missing", side: Owner, says: "404 to a layer"},
		{name: "broken manifest", set: func(s *site) { s.front = answer(200, "application/json", "{}") }, kind: "answer", side: Owner, says: "neither"},
		{name: "untrusted", opt: Options{Roots: x509.NewCertPool()}, kind: "tls-untrusted", side: Network, says: `is of "Acme Co"`},
		{name: "proxy cannot be read", opt: Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("bad") }},
			kind: "proxy-setting", side: Network, says: "write http://HOST:PORT"},
		{name: "proxy is dead", opt: Options{Proxy: through9(t, "")}, kind: "proxy-dead", side: Network, says: "does not answer"},
		{name: "proxy refuses", opt: Options{Proxy: through9(t, "403 Forbidden")}, kind: "proxy-refuses", side: Network, says: "or name it in NO_PROXY"},
		{name: "proxy wants a login", opt: Options{Proxy: through9(t, "407 Proxy Authentication Required")}, kind: "proxy-login", side: Network, says: "USER:PASSWORD@"},
		{name: "proxy fails", opt: Options{Proxy: through9(t, "502 Bad Gateway")}, kind: "proxy-fails", side: Network, says: "(502)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			if tt.set != nil {
				tt.set(s)
			}
			switch tt.image {
			case "":
				tt.image = "/sample/app:1.0"
			case "-":
				tt.image = ""
			}
			r := s.examine(t, tt.image, tt.opt)
			if r.Kind != tt.kind || r.Side != tt.side || !strings.Contains(r.Sentence, tt.says) || strings.Count(r.Sentence, ".\n") != 0 {
				t.Errorf("%s, %s: %s", r.Kind, r.Side, r.Sentence)
			}
			if want := map[Side]int{Nobody: 0, Network: 1, User: 4, Owner: 4}[tt.side]; r.ExitCode != want {
				t.Errorf("exit code %d, want %d", r.ExitCode, want)
			}
			for _, format := range []cli.Format{cli.Text, cli.JSON} {
				var out bytes.Buffer
				if err := r.Write(&out, format, false); err != nil || !strings.Contains(out.String(), "RESULT") == (format == cli.Text) {
					t.Errorf("%v\n%s", err, &out)
				}
				if strings.Contains(out.String(), "secret") {
					t.Errorf("the report has a signature:\n%s", &out)
				}
			}
		})
	}
}

// listOf is a published list with one store.
func listOf(t *testing.T, store *httptest.Server, bucket string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(name(store))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"format":1,"version":"v1","endpoints":[{"host":%q,"port":%s,"kind":"store","bucket":%q},{"host":"*.example.org","port":443,"kind":"wildcard"}]}`, host, port, bucket)
}

// through9 is a proxy that answers each request for a connection alike. "": nothing listens there.
func through9(t *testing.T, status string) func(*http.Request) (*url.URL, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if status == "" {
		l.Close()
	} else {
		done := make(chan struct{})
		t.Cleanup(func() { l.Close(); <-done })
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
				c.Close()
			}
		}()
	}
	return http.ProxyURL(&url.URL{Scheme: "http", Host: address})
}

// TestSendsNothingPrivate checks that no request has credentials, and that a registry's answers cannot make the doctor
// read more than it promises.
func TestSendsNothingPrivate(t *testing.T) {
	t.Setenv("REGISTRY_TOKEN", "secret")
	s := newSite(t)
	endless := strings.Repeat("x", 1<<20)
	s.front = func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" {
			t.Errorf("it sends %v", r.Header)
		}
		if r.URL.Path != endpoints.Path {
			return false
		}
		for range 40 {
			if _, err := io.WriteString(rw, endless); err != nil {
				return true
			}
		}
		return true
	}
	r := s.examine(t, "/sample/app:1.0", Options{})
	if r.Kind != "well" || r.Listed || r.Bytes > MaxBytes {
		t.Errorf("%s, %d bytes", r.Sentence, r.Bytes)
	}
}

// TestTime checks the bound on time: a registry that never answers.
func TestTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nothing else happens
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target, err := ParseTarget("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Timeout: 2 * time.Second, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	r := Examine(t.Context(), target, opt)
	if r.Kind != "stalled" {
		t.Errorf("%s", r.Sentence)
	}
	if opt.MaxTime() != 12*time.Second || new(Options).MaxTime() != 30*time.Second {
		t.Error("the promise of --help has changed")
	}
}

// TestPlainPort: ports without TLS that a registry, another web server and a portal have.
func TestPlainPort(t *testing.T) {
	images := registrytest.New(t, registrytest.Options{})
	images.Image("sample/app", "1.0", "a layer")
	portal := func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "<html>") }
	elsewhere := http.RedirectHandler("http://portal.example/", http.StatusFound)
	for kind, handler := range map[string]http.Handler{
		"well plain-http": images, "answer plain-http": http.NotFoundHandler(), "web-page web-page": http.HandlerFunc(portal), "web-page": elsewhere,
	} {
		t.Run(kind, func(t *testing.T) {
			s := httptest.NewServer(handler)
			defer s.Close()
			plain, secure, both := strings.Cut(kind, " ")
			if !both {
				secure = plain
			}
			// This machine is asked by plain HTTP unless the user says otherwise.
			for scheme, want := range map[string]string{"": plain, "http://": plain, "https://": secure} {
				target, err := ParseTarget(scheme + s.Listener.Addr().String() + "/sample/app:1.0")
				if err != nil {
					t.Fatal(err)
				}
				if !both && scheme != "https://" {
					continue // the redirect would be followed
				}
				r := Examine(t.Context(), target, Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }})
				if r.Kind != want {
					t.Errorf("%s: %s", scheme, r.Sentence)
				}
				out, code := script(t, nil, scheme+s.Listener.Addr().String()+"/sample/app:1.0")
				said := strings.NewReplacer("404 to /v2/: this is no registry", "404 to /v2/").Replace(r.Sentence)
				if code != r.ExitCode || !strings.HasPrefix(out, said+"\n") {
					t.Errorf("%s: %s\nexit code %d, the script says %s", scheme, said, code, out)
				}
				if hint := "write http://" + target.Registry + ","; r.Kind == "plain-http" && (r.ExitCode != 4 || !strings.Contains(r.Sentence, hint)) {
					t.Errorf("exit code %d, %s", r.ExitCode, r.Sentence)
				}
			}
		})
	}
}
