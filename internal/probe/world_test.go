package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // net/http accepts nothing else
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func digestOf(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

// content is what the deployment serves: an index of two platforms, signed, in repository app/web.
type content struct {
	manifests map[string][]byte // by tag and digest
	blobs     map[string][]byte
	index     string
	signature string // digest of the signature's manifest
	sigBlob   string
	big       string // the biggest layer of amd64
}

func newContent() *content {
	c := &content{manifests: map[string][]byte{}, blobs: map[string][]byte{}}
	put := func(b []byte) map[string]any {
		c.blobs[digestOf(b)] = b
		return map[string]any{"mediaType": "application/octet-stream", "digest": digestOf(b), "size": len(b)}
	}
	add := func(body []byte, names ...string) string {
		for _, n := range append(names, digestOf(body)) {
			c.manifests[n] = body
		}
		return digestOf(body)
	}
	var list []any
	for _, arch := range []string{"amd64", "arm64"} {
		layer := bytes.Repeat([]byte("layer of "+arch), 20_000)
		if arch == "amd64" {
			c.big = digestOf(layer)
		}
		body := marshal(map[string]any{
			"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": put([]byte(`{"architecture":"` + arch + `"}`)), "layers": []any{put(layer), put([]byte("a middle-sized layer of " + arch + strings.Repeat(".", 99)))},
		})
		list = append(list, map[string]any{"digest": add(body), "size": len(body), "platform": map[string]any{"os": "linux", "architecture": arch}})
	}
	c.index = add(marshal(map[string]any{"schemaVersion": 2, "manifests": list}), "1.0")
	sig := put([]byte("a signature"))
	c.sigBlob = sig["digest"].(string)
	c.signature = add(marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": put([]byte("{}")), "layers": []any{sig},
	}), strings.Replace(c.index, ":", "-", 1)+".sig")
	return c
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// fault answers a request itself and returns true, or leaves it to the good server.
type fault func(w http.ResponseWriter, r *http.Request) bool

// world is a deployment on loopback: a registry's name that redirects to two stores by the address that the probe
// claims. Its names exist only here.
type world struct {
	t *testing.T
	*content
	hosts  map[string]map[string]string // host, network: address
	listed map[string]bool
	faults map[string]fault // by name of the server
	urls   map[string]*url.URL
	pool   *x509.CertPool
	opt    Options
	// route is where a class is sent; "" is the machine itself.
	route map[string]string
	until map[string]time.Time // ends of certificates
	plain map[string]bool
	only1 map[string]bool
	old   string // digest that 1.0 still has for clients of nowhere; "": the same as for all
}

const identityHeader = "Test-Identity"

var (
	virginia = Class{"aws/us-east-1 ipv4", netip.MustParseAddr("198.18.0.1")}
	nowhere  = Class{"unknown ipv4", netip.MustParseAddr("203.0.113.20")}
)

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, content: newContent(), hosts: map[string]map[string]string{}, listed: map[string]bool{},
		faults: map[string]fault{}, urls: map[string]*url.URL{}, pool: x509.NewCertPool(), until: map[string]time.Time{},
		route: map[string]string{"": "near", "198.18.0": "near", "203.0.113": "far"}, plain: map[string]bool{}, only1: map[string]bool{},
	}
	w.opt = Options{
		Images: []judge.Ref{{Name: "app/web", Tag: "1.0"}}, Platforms: []string{"linux/amd64"},
		Classes: []Class{virginia, nowhere}, Timeout: 20 * time.Second, Limits: Limits{Rate: 100_000},
		Sign: func(method, host, path string, addr netip.Addr) (string, string) {
			if host != w.urls["name"].Host {
				t.Errorf("signed for %s", host)
			}
			return identityHeader, strings.Join([]string{method, path, addr.String()}, " ")
		},
		Self:   netip.MustParseAddr("198.18.0.77"),
		Listed: func(host string) bool { return w.listed[host] },
		Lookup: func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if a := w.hosts[host][network]; a != "" {
				return []netip.Addr{netip.MustParseAddr(a)}, nil
			}
			return nil, nil
		},
	}
	w.opt.Explain = func(_ context.Context, addr netip.Addr, _, path string) (Expected, error) {
		store := w.route[network(addr.String())]
		return Expected{store, w.urls[store].String() + "/" + path[strings.LastIndex(path, "/")+1:], "nearest"}, nil
	}
	return w
}

func network(addr string) string {
	if i := strings.LastIndex(addr, "."); i >= 0 {
		return addr[:i]
	}
	return addr
}

// start starts the servers, with whatever the test has changed.
func (w *world) start() {
	for _, name := range []string{"near", "far"} {
		w.serve(name, w.store)
		w.listed[w.urls[name].Host] = true
	}
	w.serve("name", w.registry)
	w.opt.Name = w.urls["name"].Host
	w.opt.TLS = &tls.Config{RootCAs: w.pool}
}

func (w *world) serve(name string, h http.HandlerFunc) {
	if w.hosts[name+".test"] == nil {
		w.hosts[name+".test"] = map[string]string{"ip4": "127.0.0.1", "ip6": "127.0.0.1"} // tests must run without IPv6
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if name != "name" && r.Header.Get(identityHeader) != "" {
			w.t.Errorf("the probe identity was sent to %s", name)
		}
		if f := w.faults[name]; f != nil && f(rw, r) {
			return
		}
		h(rw, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	scheme := "https"
	if w.plain[name] {
		scheme = "http"
		srv.Start()
	} else {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{w.certificate(name + ".test")}}
		srv.EnableHTTP2 = !w.only1[name]
		srv.StartTLS()
	}
	w.t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	w.urls[name] = &url.URL{Scheme: scheme, Host: name + ".test:" + u.Port()}
}

// certificate makes a certificate that the world trusts.
func (w *world) certificate(host string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	until := w.until[host]
	if until.IsZero() {
		until = time.Now().Add(90 * 24 * time.Hour)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// store serves blobs as a good bucket does.
func (w *world) store(rw http.ResponseWriter, r *http.Request) {
	body, ok := w.blobs[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	rw.Header().Set("Cache-Control", "public, max-age=31536000, immutable, no-transform")
	rw.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(body))
}

// registry answers as oci-proxy with a registry behind it does.
func (w *world) registry(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-store")
	refuse := func(e *oci.Error) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(e.Status)
		_, _ = rw.Write(e.Body())
	}
	addr := ""
	if text := r.Header.Get(identityHeader); text != "" {
		parts := strings.Fields(text)
		if parts[0] != r.Method || parts[1] != r.URL.RequestURI() {
			w.t.Errorf("%q is signed for another request than %s %s", text, r.Method, r.URL.RequestURI())
		}
		if addr = parts[2]; addr == "invalid" {
			addr = ""
		}
		rw.Header().Set(identityHeader, "accepted")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(oci.ErrMethod)
		return
	}
	path := r.URL.EscapedPath()
	req, err := oci.Parse(path, r.URL.RawQuery)
	if err != nil {
		e, _ := errors.AsType[*oci.Error](err)
		refuse(e)
		return
	}
	switch req.Kind { //nolint:exhaustive // the others follow
	case oci.KindBase:
		_, _ = rw.Write([]byte("{}"))
		return
	case oci.KindBlob:
		rw.Header().Set("Location", w.urls[w.route[network(addr)]].String()+"/"+req.Digest.String())
		rw.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	if req.Name != "app/web" {
		refuse(oci.ErrNameUnknown)
		return
	}
	var body []byte
	kind := "application/vnd.oci.image.index.v1+json"
	switch req.Kind {
	case oci.KindTags:
		w.tagList(rw, r)
		return
	case oci.KindReferrers:
		if req.Digest.String() != w.index {
			body = []byte(`{"schemaVersion":2,"manifests":[]}`)
		} else {
			body = marshal(map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{"digest": w.signature, "size": 1}}})
		}
	case oci.KindTag:
		if body = w.manifests[req.Tag]; w.old != "" && req.Tag == "1.0" && network(addr) == network(nowhere.Addr.String()) {
			body = w.manifests[w.old]
		}
	default:
		body = w.manifests[req.Digest.String()]
	}
	if body == nil {
		refuse(oci.ErrManifestUnknown)
		return
	}
	if !bytes.Contains(body, []byte(`"manifests"`)) {
		kind = "application/vnd.oci.image.manifest.v1+json"
	}
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("Docker-Content-Digest", digestOf(body))
	rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = rw.Write(body)
	}
}

// tagList has two pages.
func (w *world) tagList(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("last") == "" {
		rw.Header().Set("Link", `</v2/app/web/tags/list?n=1&last=0.9>; rel="next"`)
		_, _ = rw.Write([]byte(`{"name":"app/web","tags":["0.9"]}`))
		return
	}
	_, _ = rw.Write([]byte(`{"name":"app/web","tags":["1.0"]}`))
}

func (w *world) run() *Report {
	w.t.Helper()
	w.start()
	r, err := Run(w.t.Context(), w.opt)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// bad returns the checks with a finding that is an error or a warning.
func bad(r *Report) (ids []string) {
	for _, f := range r.Findings {
		if (f.Result == judge.Failed || f.Result == judge.Warning) && !slices.Contains(ids, f.Check) {
			ids = append(ids, f.Check)
		}
	}
	return ids
}

func show(r *Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Result != judge.OK {
			fmt.Fprintf(&b, "%s %s (%s, %s): %s | %s\n", f.Check, f.Result, f.As, f.Host, f.Detail, f.Hint)
		}
	}
	return b.String()
}
