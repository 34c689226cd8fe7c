package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"ociproxy/internal/wait"
)

// tokens is a registry that requires a token for each repository. It is also its own token service.
type tokens struct {
	lifetime time.Duration
	says     int  // expires_in
	open     bool // /v2/ lets all clients in
	user     string

	mu     sync.Mutex
	issued map[string]grant
	asked  []string // scopes
}

type grant struct {
	scope string
	ends  time.Time
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.URL.Host == "auth.test" {
		if user, pass, _ := req.BasicAuth(); s.user != "" && (user != s.user || pass != "secret") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		scope := strings.Join(req.URL.Query()["scope"], " ")
		s.asked = append(s.asked, scope)
		token := fmt.Sprintf("t%d", len(s.asked))
		s.issued[token] = grant{scope, time.Now().Add(s.lifetime)}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "expires_in": s.says})
		return
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	scope := "repository:" + strings.TrimSuffix(path, "/tags/list") + ":pull"
	token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	g, ok := s.issued[token]
	if path == "" && s.open || ok && time.Now().Before(g.ends) && (path == "" || strings.Contains(g.scope, scope)) {
		_, _ = io.WriteString(w, tagsBody)
		return
	}
	challenge := `Bearer realm="https://auth.test/token",service="registry.test"`
	if path != "" {
		challenge += `,scope="` + scope + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
}

type keychain struct{ authn.AuthConfig }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(k.AuthConfig), nil
}

func openTokens(t *testing.T, s *tokens, change ...func(*Options)) (*Registry, *world) {
	t.Helper()
	s.issued = map[string]grant{}
	w := &world{Handler: s}
	r, _ := openWorld(t, silent, append([]func(*Options){func(o *Options) {
		o.Transport, o.Keychain = w, keychain{authn.AuthConfig{Username: "robot", Password: "secret"}}
	}}, change...)...)
	return r, w
}

func listAll(t *testing.T, r *Registry, repos ...string) {
	t.Helper()
	for _, repo := range repos {
		if _, err := r.List(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
	}
}

// There is one token for each repository. It is renewed before it expires when it reports its lifetime, and after a
// refusal when it does not. Requests for tokens are counted.
func TestTokens(t *testing.T) {
	for name, says := range map[string]int{"says": 300, "does not say": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokens{lifetime: 5 * time.Minute, says: says, user: "robot"}
				r, w := openTokens(t, s)
				listAll(t, r, "a", "b", "a", "b")
				if diff := cmp.Diff([]string{"repository:a:pull", "repository:b:pull"}, s.asked); diff != "" {
					t.Errorf("scopes (-want +got):\n%s", diff)
				}
				if requests, _, _ := r.Budget().Stats(); requests != 1+2+4 {
					t.Errorf("%d requests", requests)
				}
				before := len(w.paths())
				for range 3 * 24 * 60 { // three days
					if err := wait.For(t.Context(), time.Minute); err != nil {
						t.Fatal(err)
					}
					listAll(t, r, "a")
				}
				refused := len(w.paths()) - before - 3*24*60 - (len(s.asked) - 2)
				if says > 0 && refused != 0 {
					t.Errorf("%d requests were refused", refused)
				}
				if n := len(s.asked); n > 3*24*60/4+10 {
					t.Errorf("%d tokens in three days", n)
				}
				if n := r.accesses.EstimatedSize(); n > maxAccesses {
					t.Errorf("%d tokens kept", n)
				}
			})
		})
	}
}

// Many callers at once cause one request for a token.
func TestTokenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{lifetime: time.Hour}
		r, _ := openTokens(t, s)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := r.List(t.Context(), "a"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(s.asked) != 1 {
			t.Errorf("%d tokens were asked for", len(s.asked))
		}
	})
}

// A registry that lets all clients in at /v2/ may ask for a token later.
func TestTokenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{lifetime: time.Hour, open: true}
		r, w := openTokens(t, s)
		listAll(t, r, "a", "b")
		want := []string{
			"GET registry.test/v2/", "GET registry.test/v2/a/tags/list?n=1000",
			"GET auth.test/token?scope=repository%3Aa%3Apull&service=registry.test", "GET registry.test/v2/a/tags/list?n=1000",
			"GET auth.test/token?scope=repository%3Ab%3Apull&service=registry.test", "GET registry.test/v2/b/tags/list?n=1000",
		}
		if diff := cmp.Diff(want, w.paths()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// Wrong credentials are an error of permission. It contains no secret, and the client does not retry forever.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{lifetime: time.Hour, user: "somebody"}
		r, w := openTokens(t, s)
		_, err := r.List(t.Context(), "a")
		if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
		if n := len(w.paths()); n > 3 {
			t.Errorf("%d requests", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{lifetime: -time.Hour} // every token is refused
		r, w := openTokens(t, s)
		if _, err := r.List(t.Context(), "a"); !errors.Is(err, ErrUnauthorized) {
			t.Error(err)
		}
		if n := len(w.paths()); n > 10 {
			t.Errorf("%d requests", n)
		}
	})
}

// Basic credentials go only to the registry: not to another port, not to a subdomain, not to storage.
func TestCredentialsStay(t *testing.T) {
	for _, target := range []string{"https://registry.test:8443/x", "https://cdn.registry.test/x", "https://storage.test/x?sig=1"} {
		var leaked []string
		h := func(w http.ResponseWriter, req *http.Request) {
			auth := req.Header.Get("Authorization")
			switch {
			case req.URL.Host != "registry.test":
				if auth != "" || req.Header.Get("Cookie") != "" {
					leaked = append(leaked, req.URL.Host)
				}
				_, _ = io.WriteString(w, "bytes")
			case auth == "":
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			case req.URL.Path == "/v2/":
			default:
				http.Redirect(w, req, target, http.StatusTemporaryRedirect)
			}
		}
		w := &world{Handler: http.HandlerFunc(h)}
		r, _ := openWorld(t, silent, func(o *Options) {
			o.Transport, o.Keychain = w, keychain{authn.AuthConfig{Username: "robot", Password: "secret"}}
		})
		body, _, err := r.OpenBlob(t.Context(), "app", sum("sha256", []byte("bytes")), 0)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(body); string(b) != "bytes" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		body.Close()
		if leaked != nil {
			t.Errorf("credentials were sent to %v", leaked)
		}
		if requests, _, _ := r.Budget().Stats(); requests != 2 {
			t.Errorf("%d requests to the registry, want 2: %v", requests, w.paths())
		}
	}
}

// Storage to which a registry redirects cannot name a service that gets the registry's credentials.
func TestStorageIsNotAsked(t *testing.T) {
	for _, scheme := range []string{`Bearer realm="https://thief.test/token",service="registry.test"`, `Basic realm="x"`} {
		w := &world{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case req.URL.Host == "storage.test":
				w.Header().Set("WWW-Authenticate", scheme)
				w.WriteHeader(http.StatusUnauthorized)
			case req.URL.Host == "registry.test" && strings.Contains(req.URL.Path, "/blobs/"):
				http.Redirect(w, req, "https://storage.test/x", http.StatusTemporaryRedirect)
			}
		})}
		r, _ := openWorld(t, silent, func(o *Options) {
			o.Transport, o.Keychain = w, keychain{authn.AuthConfig{Username: "robot", Password: "secret"}}
		})
		if _, _, err := r.OpenBlob(t.Context(), "app", sum("sha256", []byte("bytes")), 0); !errors.Is(err, ErrUnauthorized) {
			t.Error(err)
		}
		for _, req := range w.seen {
			if req.URL.Host == "thief.test" || req.URL.Host == "storage.test" && req.Header.Get("Authorization") != "" {
				t.Errorf("%s %s with %q", req.Method, req.URL, req.Header.Get("Authorization"))
			}
		}
	}
}

// A registry with an https URL is never asked without TLS, not even on this machine, where the library would try that.
func TestNoDowngrade(t *testing.T) {
	var plain atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plain.Add(1) }))
	t.Cleanup(server.Close)
	r, err := Open(Options{URL: strings.Replace(server.URL, "http:", "https:", 1), Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := r.List(ctx, "app"); err == nil || plain.Load() > 0 {
		t.Errorf("%v, %d requests without TLS", err, plain.Load())
	}
	secure := httptest.NewTLSServer(text(tagsBody))
	t.Cleanup(secure.Close)
	if r, err = Open(Options{URL: secure.URL, Transport: secure.Client().Transport}); err != nil {
		t.Fatal(err)
	}
	if l, err := r.List(t.Context(), "app"); err != nil || len(l.Tags) != 1 {
		t.Errorf("%v, %v", l, err)
	}
}
