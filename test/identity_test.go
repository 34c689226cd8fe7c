package test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/world"
)

// identity is the header of one probe request, written as docs/client-address.md says and not by the program's code.
type identity struct {
	key                        ed25519.PrivateKey
	method, host, path, client string
	at                         time.Time
	nonce                      string
}

func (id *identity) String() string {
	public := id.key.Public().(ed25519.PublicKey)
	sum := sha256.Sum256(public)
	short, at := hex.EncodeToString(sum[:8]), fmt.Sprint(id.at.UnixMilli())
	text := "oci-proxy probe identity v1\n"
	for _, part := range []string{short, id.client, at, id.nonce, id.method, id.host, id.path} {
		text += fmt.Sprintf("%d:%s\n", len(part), part)
	}
	sig := base64.RawURLEncoding.EncodeToString(ed25519.Sign(id.key, []byte(text)))
	return fmt.Sprintf("v1;key=%s;addr=%s;time=%s;nonce=%s;sig=%s", short, id.client, at, id.nonce, sig)
}

// prober sends requests to the registry as clients of its choice.
type prober struct {
	key    ed25519.PrivateKey
	via    string // host:port
	name   string // Host header
	serial int
}

func newProber(seed byte) *prober {
	return &prober{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), name: "registry.example.org"}
}

// config is the stanza that accepts p.
func (p *prober) config() proxy.Map {
	public := base64.StdEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))
	return proxy.Map{"maxRPS": 200, "keys": proxy.List{proxy.Map{"name": "ops", "key": public}}}
}

func (p *prober) identity(client, method, path string) *identity {
	p.serial++
	return &identity{key: p.key, method: method, host: p.name, path: path, client: client, at: time.Now(), nonce: fmt.Sprintf("%016d", p.serial)}
}

// send sends a request with these values of the header.
func (p *prober) send(t *testing.T, method, path string, values ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.via+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = p.name
	req.Header["Oci-Proxy-Probe"] = values
	resp, err := noRedirect(http.DefaultTransport).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (p *prober) ask(t *testing.T, client, method, path string) *http.Response {
	t.Helper()
	return p.send(t, method, path, p.identity(client, method, path).String())
}

// One prober, in one network, asks as clients of all places. It is sent where `explain` says that they are sent, and
// nothing is counted but probes.
func TestProbesAsClientsOfAllPlaces(t *testing.T) {
	p := newProber(1)
	w := world.Start(t, proxy.Map{"probe": p.config()})
	img := image.New(t, 5, 10<<10, 50<<10)
	w.Push(t, img, "library/app", "v1", world.Canonical, world.Replica)
	blobs := img.Arch["amd64"].Blobs
	w.Fill(t, blobs[:1], world.StoreUS, world.StoreEU, world.StoreAz)
	p.via = w.At(world.Home)
	places := map[string]bool{}
	for _, client := range []string{
		"198.18.0.9", "2001:db8:100::9", "198.18.64.9", "198.18.128.9", "198.18.192.9", "198.19.0.9", "198.19.64.9", "192.0.2.1",
	} {
		for _, path := range []string{
			"/v2/library/app/blobs/" + blobs[0].Digest, "/v2/library/app/blobs/" + blobs[1].Digest, "/v2/library/app/manifests/v1",
			"/v2/library/app/blobs/sha256:" + strings.Repeat("5", 64), "/v2/library/app/referrers/" + blobs[0].Digest,
		} {
			explained := explain(t, w, client, path)
			for _, method := range []string{"HEAD", "GET", "GET", "GET"} { // repeats of a probe are no failures
				r := p.ask(t, client, method, path)
				said := r.Header.Get("Oci-Proxy-Probe")
				want := fmt.Sprintf("accepted; place=%s; candidate=%s; reason=%s", explained.Place, explained.Answer.Candidate, explained.Answer.Reason)
				if r.StatusCode != http.StatusTemporaryRedirect || r.Header.Get("Location") != explained.Answer.Location || said != want {
					t.Errorf("%s %s as %s: %d %s (%s), explained: %+v", method, path, client, r.StatusCode, r.Header.Get("Location"), said, explained)
				}
			}
			places[explained.Answer.Candidate] = true
		}
	}
	if len(places) != 5 {
		t.Errorf("only %v were decided for", places)
	}
	if r := p.ask(t, "198.19.0.9", "GET", "/v2/library/app/tags/list"); r.StatusCode != http.StatusOK {
		t.Errorf("a tag list: %d", r.StatusCode)
	}
	if n := w.Proxy.Metric(t, "ociproxy_probe_requests_total", `outcome="accepted"`); n != 8*5*4+1 {
		t.Errorf("%v probes are counted", n)
	}
	for _, metric := range []string{
		"ociproxy_redirects_total", "ociproxy_redirected_bytes_total", "ociproxy_client_paths_total", "ociproxy_retries_total", "ociproxy_relays_total",
	} {
		if n := w.Proxy.Metric(t, metric); n != 0 {
			t.Errorf("%s is %v", metric, n)
		}
	}
	if n := w.Proxy.Metric(t, "ociproxy_requests_total", `code="307"`); n != 0 {
		t.Errorf("%v redirects are counted", n)
	}
}

type explained struct {
	Place  string
	Answer struct {
		Candidate, Location, Reason string
		Until                       time.Time
	}
	Notes []string
}

func explain(t *testing.T, w *world.World, client, path string) (e explained) {
	t.Helper()
	resp := do(t, http.MethodGet, "http://"+w.Proxy.Admin+"/explain?"+url.Values{"ip": {client}, "path": {path}}.Encode(), nil)
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	return e
}

// The server refuses what is not signed for this request, by a key of its config, now and for the first time. It counts
// why.
func TestRefusedProbes(t *testing.T) {
	p, stranger := newProber(1), newProber(2)
	w := world.Start(t, proxy.Map{"probe": p.config()})
	p.via = w.At(world.Home)
	const path, client = "/v2/library/app/manifests/v1", "198.18.0.9"
	good := p.identity(client, "GET", path).String()
	if r := p.send(t, "GET", path, good); r.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("a good one: %d", r.StatusCode)
	}
	edited := func(edit func(*identity)) []string {
		id := p.identity(client, "GET", path)
		edit(id)
		return []string{id.String()}
	}
	want := map[string]float64{"accepted": 1}
	for what, test := range map[string]struct {
		values  []string
		outcome string
	}{
		"the same again":   {[]string{good}, "replayed"},
		"another method":   {edited(func(id *identity) { id.method = "HEAD" }), "forged"},
		"another host":     {edited(func(id *identity) { id.host = "registry.example.com" }), "forged"},
		"another path":     {edited(func(id *identity) { id.path = "/v2/" }), "forged"},
		"a changed client": {[]string{strings.Replace(edited(func(*identity) {})[0], client, "198.18.64.9", 1)}, "forged"},
		"too old":          {edited(func(id *identity) { id.at = id.at.Add(-61 * time.Second) }), "expired"},
		"of the future":    {edited(func(id *identity) { id.at = id.at.Add(time.Hour) }), "expired"},
		"a stranger's":     {[]string{stranger.identity(client, "GET", path).String()}, "foreign-key"},
		"two":              {[]string{p.identity(client, "GET", path).String(), p.identity(client, "GET", path).String()}, "malformed"},
		"no client's":      {edited(func(id *identity) { id.client = "255.255.255.255" }), "malformed"},
		"text":             {[]string{"let me in"}, "malformed"},
	} {
		r := p.send(t, "GET", path, test.values...)
		var body struct {
			Errors []struct{ Code, Detail string }
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Errors) != 1 {
			t.Errorf("%s: %v %+v", what, err, body)
			continue
		}
		said := body.Errors[0]
		if r.StatusCode != http.StatusForbidden || said.Code != "DENIED" || said.Detail == "" || r.Header.Get("Oci-Proxy-Probe") != test.outcome {
			t.Errorf("%s: %d %s, %+v", what, r.StatusCode, r.Header.Get("Oci-Proxy-Probe"), said)
		}
		want[test.outcome]++
	}
	got := map[string]float64{}
	for outcome := range want {
		got[outcome] = w.Proxy.Metric(t, "ociproxy_probe_requests_total", fmt.Sprintf("outcome=%q", outcome))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// A client that does not get through is sent past its nearest store. The operator reads that from explain, and the
// probe sees it too.
func TestExplainSaysThatAnAddressAskedAgain(t *testing.T) {
	p := newProber(1)
	w := world.Start(t, proxy.Map{"probe": p.config()})
	img := image.New(t, 5, 10<<10)
	w.Push(t, img, "library/app", "v1", world.Canonical, world.Replica)
	blob := img.Arch["amd64"].Blobs[0]
	w.Fill(t, []image.Blob{blob}, world.StoreUS, world.StoreEU)
	p.via = w.At(world.Home)
	client, path := w.Hop(world.Virginia).Client().String(), "/v2/library/app/blobs/"+blob.Digest
	if e := explain(t, w, client, path); e.Answer.Candidate != world.StoreUS || e.Answer.Reason != "nearest" || len(e.Notes) != 0 {
		t.Errorf("before: %+v", e)
	}
	for range 2 {
		resp, err := noRedirect(http.DefaultTransport).Get("http://" + w.At(world.Virginia) + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for range 3 { // to ask changes nothing
		e := explain(t, w, client, path)
		if e.Answer.Reason != "retried" || e.Answer.Candidate == world.StoreUS || !time.Now().Before(e.Answer.Until) ||
			len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "so it is sent past "+world.StoreUS) {
			t.Errorf("after: %+v", e)
		}
		r := p.ask(t, client, "GET", path)
		if r.Header.Get("Location") != e.Answer.Location || !strings.HasSuffix(r.Header.Get("Oci-Proxy-Probe"), "reason=retried") {
			t.Errorf("a probe as that client: %s, %s", r.Header.Get("Location"), r.Header.Get("Oci-Proxy-Probe"))
		}
	}
	if e := explain(t, w, netip.MustParseAddr(client).Next().String(), path); e.Answer.Candidate != world.StoreUS {
		t.Errorf("its neighbour: %+v", e)
	}
}

// A front must pass the header, Host and path. What HAProxy does otherwise shows in the answer.
func TestProbesThroughHAProxy(t *testing.T) {
	haproxy := parts.Find(t, "haproxy")
	p := newProber(1)
	w := world.Start(t, proxy.Map{"probe": p.config()})
	const path, client = "/v2/library/app/manifests/v1", "198.18.0.9"
	var rules string
	fronts := map[string]struct{ rule, says string }{}
	for rule, says := range map[string]string{
		"option forwardfor":                                        "accepted", // passes all
		"http-request set-header Host backend.internal":            "forged",
		"http-request set-header Host %[req.hdr(host)]:8443":       "accepted", // a port does not count
		"http-request set-path /prefix%[path]":                     "forged",
		"http-request del-header Oci-Proxy-Probe":                  "", // the client itself gets an answer
		"http-request add-header Oci-Proxy-Probe %[req.hdr(host)]": "malformed",
	} {
		addr := parts.FreeAddr(t)
		fronts[addr] = struct{ rule, says string }{rule, says}
		rules += fmt.Sprintf("listen f%d\n  bind %s\n  option forwardfor\n  %s\n  server s %s\n", len(fronts), addr, rule, w.Proxy.Addr)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	config := "defaults\n  mode http\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n" + rules
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	first := ""
	for addr := range fronts {
		first = addr
	}
	parts.Start(t, parts.Spec{Path: haproxy, Args: []string{"-db", "-f", file}, Ready: parts.Dial("tcp", first)})
	for addr, front := range fronts {
		p.via = addr
		r := p.ask(t, client, "GET", path)
		said, _, _ := strings.Cut(r.Header.Get("Oci-Proxy-Probe"), ";")
		if said != front.says {
			t.Errorf("%s: %d %q, want %q", front.rule, r.StatusCode, said, front.says)
		}
	}
}
