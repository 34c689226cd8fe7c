package health

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

func TestConnectionFaults(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(serve))
		srv.Close()
		expect(t, quick(nil).probe(t.Context(), store(srv.URL), wholeTurn, Object{}), fail, "connection refused")
	})
	t.Run("TLS expired", func(t *testing.T) {
		srv, client := expired(t)
		expect(t, quick(client).probe(t.Context(), store(srv.URL), wholeTurn, Object{}), fail, "certificate has expired")
	})
	t.Run("TLS of an unknown authority", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(serve))
		srv.Config.ErrorLog = quiet
		srv.StartTLS()
		defer srv.Close()
		expect(t, quick(nil).probe(t.Context(), store(srv.URL), wholeTurn, Object{}), fail, "unknown authority")
	})
	dial := func(err error) *http.Client {
		return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}}
	}
	t.Run("no such host", func(t *testing.T) {
		err := &net.DNSError{Err: "no such host", Name: "s0.example", IsNotFound: true}
		expect(t, quick(dial(err)).probe(t.Context(), store("https://s0.example"), wholeTurn, Object{}), fail, "no such host")
	})
	t.Run("out of file descriptors", func(t *testing.T) {
		err := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		expect(t, quick(dial(err)).probe(t.Context(), store("https://s0.example"), wholeTurn, Object{}), neutral, "too many open files")
	})
	t.Run("our quota", func(t *testing.T) {
		target := store("https://s0.example")
		target.Allow = func() bool { return false }
		r := quick(dial(errors.New("asked"))).probe(t.Context(), target, wholeTurn, Object{})
		expect(t, r, neutral, "quota")
		if r.requested {
			t.Error("a request was made")
		}
	})
	t.Run("we are stopped", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(hang))
		defer srv.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		expect(t, quick(nil).probe(ctx, store(srv.URL), wholeTurn, Object{}), neutral, "canceled")
	})
}

// quiet discards the handshake errors that a server would print.
var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)

// expired returns a server with an expired certificate, and a client that trusts the certificate's authority.
func expired(t *testing.T) (*httptest.Server, *http.Client) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	srv.Config.ErrorLog = quiet
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	roots.AddCert(cert)
	return srv, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

// The test has what a registry may do and a store may not.
func TestRegistries(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/storage", serve)
	hop := func(n int) string { return fmt.Sprintf("/hop/%d", n) }
	mux.HandleFunc("/hop/", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/hop/%d", &n)
		to := hop(n - 1)
		if n == 1 {
			to = "/storage"
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/nothing", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/refuses", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/forbidden", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/forbidden", status(403))
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/500", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/500", status(500))
	mux.HandleFunc("/nowhere", status(307))
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/norange", func(w http.ResponseWriter, _ *http.Request) { w.Write(blob) })
	mux.HandleFunc("/norange-short", func(w http.ResponseWriter, _ *http.Request) { w.Write(blob[1:]) })
	mux.HandleFunc("/html", html)
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })
	mux.HandleFunc("/token/v2/", status(401))
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	m := quick(srv.Client())

	tests := []struct {
		path  string
		whole bool
		want  outcome
		says  string
	}{
		{"/storage", false, pass, ""},
		{hop(1), false, pass, ""},
		{hop(3), true, pass, ""},
		{hop(4), true, fail, "more than 3 redirects"},
		{"/gone", true, neutral, "status 404"},
		{"/refuses", true, neutral, "status 403"},
		{"/broken", true, fail, "status 500"},
		{"/nowhere", true, fail, "status 307 without a location"},
		{"/plain", true, fail, "redirects from https to http"},
		{"/norange", false, pass, ""},
		{"/norange-short", false, fail, "29999"},
		{"/html", false, fail, "an HTML page"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.path[1:], "/", "-"), func(t *testing.T) {
			target := store("")
			target.Sample = func(int64) (Object, bool) {
				return Object{URL: srv.URL + tt.path, Digest: sum(blob), Size: int64(len(blob))}, true
			}
			target.FollowRedirects, target.RangeOptional = true, true
			expect(t, m.probe(t.Context(), target, turnOf(tt.whole), Object{}), tt.want, tt.says)
		})
	}
	pings := []struct {
		path string
		want outcome
		says string
	}{
		{"/v2/", pass, ""}, {"/token/v2/", pass, ""}, {"/forbidden", neutral, "ping: status 403"},
		{"/500", fail, "ping: status 500"}, {"/html", fail, "an HTML page"},
	}
	for _, tt := range pings {
		t.Run("ping"+strings.ReplaceAll(tt.path, "/", "-"), func(t *testing.T) {
			r := m.probe(t.Context(), &Target{Ping: srv.URL + tt.path}, wholeTurn, Object{})
			expect(t, r, tt.want, tt.says)
			if r.missing {
				t.Error("a ping has no object to be missing")
			}
		})
	}
}

// A probe sends nothing about a client, requests a bounded number of bytes, and makes a new connection.
func TestWhatIsAsked(t *testing.T) {
	var seen []http.Header
	var conns atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		serve(w, r)
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	m := quick(srv.Client())
	target := store(srv.URL)
	target.Accept = "application/vnd.oci.image.manifest.v1+json"
	for i := range 200 {
		if r := m.probe(t.Context(), target, turnOf(i%2 == 0), Object{}); r.outcome != pass {
			t.Fatal(r.err)
		}
	}
	if n := conns.Load(); n != 200 {
		t.Errorf("%d connections for 200 probes", n)
	}
	starts := map[string]bool{}
	for i, h := range seen {
		if r := h.Get("Range"); (r == "") != (i%2 == 0) {
			t.Fatalf("probe %d: Range %q", i, r)
		} else if r != "" {
			starts[r] = true
		}
		h.Del("Range")
		want := http.Header{"Accept": {target.Accept}, "Accept-Encoding": {"identity"}, "User-Agent": {"oci-proxy"}, "Connection": {"close"}}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Fatalf("headers (-want +got):\n%s", diff)
		}
	}
	if len(starts) < 80 {
		t.Errorf("%d different ranges among 100", len(starts))
	}
}

func TestChoose(t *testing.T) {
	small := Object{URL: "small", Size: 100}
	large := Object{URL: "large", Size: 1 << 30}
	manifest := Object{URL: "manifest", Size: 200_000, Whole: true}
	unsized := Object{URL: "unsized", Size: -1}
	tests := []struct {
		name     string
		held     []Object
		whole    bool
		kept     Object
		ping     string
		want     string
		wantKind queryKind
		wantNot  bool
	}{
		{"a small one whole", []Object{small}, true, Object{}, "", "small", wholeObject, false},
		{"a small one in part", []Object{small}, false, Object{}, "", "small", byteRange, false},
		{"only large ones: in part", []Object{large}, true, Object{}, "", "large", byteRange, false},
		{"a manifest is never asked in part", []Object{manifest}, false, Object{}, "", "manifest", wholeObject, false},
		{"an unknown size in part", []Object{unsized}, true, Object{}, "", "unsized", byteRange, false},
		{"an empty one whole", []Object{{URL: "empty"}}, false, Object{}, "", "empty", wholeObject, false},
		{"none: the one that was read last", nil, true, small, "ping", "small", wholeObject, false},
		{"none at all: a ping", nil, true, Object{}, "ping", "ping", ping, false},
		{"nothing", nil, true, Object{}, "", "", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := &Target{Ping: tt.ping, Sample: func(maxSize int64) (Object, bool) {
				for _, o := range tt.held {
					if maxSize == 0 || o.Size <= maxSize {
						return o, true
					}
				}
				return Object{}, false
			}}
			q, ok := choose(target, tt.whole, tt.kept)
			if ok == tt.wantNot || ok && (q.object.URL != tt.want || q.kind != tt.wantKind) {
				t.Fatalf("choose = %+v, %v", q, ok)
			}
			if q.kind == byteRange && (q.start < 0 || q.length < 1 || q.length > maxWhole || q.object.Size > 0 && q.end() >= q.object.Size) {
				t.Errorf("bytes %d-%d of %d", q.start, q.end(), q.object.Size)
			}
		})
	}
}

// The test has objects with an unusual size or algorithm.
func TestUnusualObjects(t *testing.T) {
	sum512 := sha512.Sum512(blob)
	d512, err := oci.ParseDigest("sha512:" + hex.EncodeToString(sum512[:]))
	if err != nil {
		t.Fatal(err)
	}
	wrong512, _ := oci.ParseDigest("sha512:" + strings.Repeat("0", 128))
	other, _ := oci.ParseDigest("blake3:" + strings.Repeat("0", 64))
	chunked := func(w http.ResponseWriter, _ *http.Request) {
		w.Write(blob[:100])
		w.(http.Flusher).Flush()
		w.Write(blob[100:])
	}
	huge := func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, maxManifest+1) }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		object  Object
		want    outcome
		says    string
	}{
		{"sha512", serve, Object{Digest: d512, Size: 30000, Whole: true}, pass, ""},
		{"sha512 of other bytes", serve, Object{Digest: wrong512, Size: 30000, Whole: true}, fail, "digest does not match"},
		{"an algorithm we cannot verify", serve, Object{Digest: other, Size: 30000, Whole: true}, pass, ""},
		{"an algorithm we cannot verify, HTML", html, Object{Digest: other, Size: -1, Whole: true}, fail, "an HTML page"},
		{"unknown size, whole", serve, Object{Digest: d512, Size: -1, Whole: true}, pass, ""},
		{"unknown size on both sides", chunked, Object{Digest: d512, Size: -1, Whole: true}, pass, ""},
		{"unknown size, too large", huge, Object{Digest: d512, Size: -1, Whole: true}, fail, "4194304 bytes"},
		{"unknown size, a range", serve, Object{Digest: d512, Size: -1}, pass, ""},
		{"unknown size, a bad range", part(func(_, last, _ *int64, _ *[]byte) { *last-- }), Object{Digest: d512, Size: -1}, fail, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			tt.object.URL = srv.URL
			target := &Target{Sample: func(int64) (Object, bool) { return tt.object, true }}
			expect(t, quick(srv.Client()).probe(t.Context(), target, rangeTurn, Object{}), tt.want, tt.says)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "bytes -1-2/3", "", "bytes ", "octets 0-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := parseContentRange(s)
		if ok && !(0 <= first && first <= last && last < total) {
			t.Errorf("%q: %d-%d/%d", s, first, last, total)
		}
	})
}
