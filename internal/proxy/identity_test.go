package proxy

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/config"
	"ociproxy/internal/key"
	"ociproxy/internal/probeid"
	"ociproxy/internal/route"
)

var probeKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

// probeConfig is the edit of a world that accepts probeKey.
func probeConfig(more string) string {
	return fmt.Sprintf("probe: {maxRPS: %d, keys: [{name: ops, key: ", probeid.MaxRPS) + key.Format(key.Public(probeKey)) + "}]}\n" + more
}

// prober is who sends the probes of the tests.
const prober = "203.0.113.200"

// claim returns the identity of one request, as a line of its header.
func claim(as, request string) string {
	method, path, _ := strings.Cut(request, " ")
	return probeid.Header + ": " + probeid.Sign(probeKey, probeid.Claim{
		Method: method, Host: "registry.example", Path: path, Address: mustAddr(as), Time: time.Now(),
	})
}

// probe asks as a client at the address as.
func (w *testWorld) probe(t testing.TB, as, request string, headers ...string) *http.Response {
	t.Helper()
	return w.ask(t, prober, request, append(headers, claim(as, request))...)
}

func (w *testWorld) outcomes(o probeid.Outcome) float64 {
	return testutil.ToFloat64(w.server.metrics.ProbeRequests.WithLabelValues(o.String()))
}

// answered returns what matters of an answer.
func answered(t *testing.T, r *http.Response) string {
	t.Helper()
	return fmt.Sprintf("%d %s %s", r.StatusCode, r.Header.Get("Location"), body(t, r))
}

// A probe gets what a client at the claimed address gets, whatever it asks for.
func TestAProbeIsAnsweredAsTheClient(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("names: [{hosts: [registry.example], role: direct, candidates: [eu]}]\ndeny:"))
	plain := newWorld(t, "deny:", probeConfig("deny:"))
	for _, world := range []*testWorld{w, plain} {
		world.eu.tags = tagsOf("p/i/a", "", "v1")
		world.us.tags = tagsOf("p/i/a", "", "v2")
		var asked float64
		for _, client := range []string{awsClient, gcpClient, homeClient, "2001:db8::7", "2001:db9::7", "10.0.0.1"} {
			for _, request := range []string{
				"GET /v2/", "GET /v2/a/blobs/" + digest, "HEAD /v2/a/blobs/" + digest, "GET /v2/a/blobs/" + absent, "GET /v2/a/manifests/v1",
				"HEAD /v2/a/manifests/" + digest, "GET /v2/a/tags/list?n=5", "GET /v2/a/referrers/" + digest, "GET /v2/secret/manifests/v1",
				"GET /v2/Bad/blobs/" + digest, "GET /v2/a/blobs/" + strings.Replace(digestOf(1), ":", "%3A", 1), "POST /v2/a/blobs/uploads/", "GET /",
			} {
				got := answered(t, world.probe(t, client, request))
				if want := answered(t, world.ask(t, client, request)); got != want {
					t.Errorf("%s as %s: %s, a client gets %s", request, client, got, want)
				}
				asked++
			}
		}
		if n := world.outcomes(probeid.Accepted); n != asked {
			t.Errorf("%v probes counted, want %v", n, asked)
		}
	}
}

// The answer says what became of the identity, and how the proxy decided.
func TestTheReportToAProbe(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("deny:"))
	w.eu.tags = tagsOf("p/i/a", "", "v1")
	for request, want := range map[string]string{
		"GET /v2/":                                 "accepted",
		"GET /":                                    "accepted",
		"POST /v2/a/blobs/uploads/":                "accepted",
		"GET /v2/secret/manifests/v1":              "accepted; place=gcp/europe-west1",
		"GET /v2/a/tags/list":                      "accepted; place=gcp/europe-west1; candidate=eu; reason=nearest",
		"GET /v2/a/blobs/" + absent:                "accepted; place=gcp/europe-west1; candidate=us; reason=absent",
		"HEAD /v2/a/manifests/v1":                  "accepted; place=gcp/europe-west1; candidate=eu; reason=nearest",
		"GET /v2/a/manifests/sha256-" + digest[7:]: "accepted; place=gcp/europe-west1; candidate=us; reason=canonical-only",
	} {
		if got := w.probe(t, gcpClient, request).Header.Get(probeid.Header); got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	if r := w.ask(t, gcpClient, "GET /v2/"); r.Header.Values(probeid.Header) != nil {
		t.Errorf("a client gets %q", r.Header.Values(probeid.Header))
	}
}

// refused sends an identity and returns status and detail of the answer.
func (w *testWorld) refused(t *testing.T, request string, headers ...string) (status int, detail string, r *http.Response) {
	t.Helper()
	r = w.ask(t, prober, request, headers...)
	var said struct {
		Errors []struct{ Code, Detail string }
	}
	if text := body(t, r); r.StatusCode >= 400 {
		if err := json.Unmarshal([]byte(text), &said); err != nil || len(said.Errors) != 1 {
			t.Fatalf("%s: %v %s", request, err, text)
		}
		detail = said.Errors[0].Code + " " + said.Errors[0].Detail
	}
	return r.StatusCode, detail, r
}

// An identity that is not accepted is refused with what to do, is counted, and is never an ordinary client's request.
func TestRefusedIdentities(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("deny:"))
	const request, other = "GET /v2/a/blobs/" + digest, "GET /v2/b/blobs/" + digest
	signed := func(private ed25519.PrivateKey, ahead time.Duration) string {
		return probeid.Header + ": " + probeid.Sign(private, probeid.Claim{
			Method: "GET", Host: "registry.example", Path: "/v2/a/blobs/" + digest, Address: mustAddr(awsClient), Time: time.Now().Add(ahead),
		})
	}
	foreign := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	used := claim(awsClient, request)
	if status, _, _ := w.refused(t, request, used); status != http.StatusTemporaryRedirect {
		t.Fatalf("a good one: %d", status)
	}
	before := w.traces(t)
	for _, test := range []struct {
		headers []string
		want    probeid.Outcome
		says    string
	}{
		{[]string{used}, probeid.Replayed, "sign each request again"},
		{[]string{claim(awsClient, other)}, probeid.Forged, "does not fit this request"},
		{[]string{signed(probeKey, -2*time.Minute)}, probeid.Expired, "the clock that signed it is 120 s behind this server's, and 60 s are allowed"},
		{[]string{signed(probeKey, time.Hour)}, probeid.Expired, "s ahead of this server's"},
		{[]string{signed(foreign, 0)}, probeid.ForeignKey, "add the public key to `probe.keys`"},
		{[]string{probeid.Header + ": please"}, probeid.Malformed, "send the header Oci-Proxy-Probe once"},
		{[]string{probeid.Header + ":"}, probeid.Malformed, "once"},
		{[]string{claim(awsClient, request), claim(awsClient, request)}, probeid.Malformed, "once"},
		{[]string{claim("240.0.0.1", request)}, probeid.Malformed, "an address that a client can have"},
	} {
		counted := w.outcomes(test.want)
		status, detail, r := w.refused(t, request, test.headers...)
		if status != http.StatusForbidden || !strings.HasPrefix(detail, "DENIED ") || !strings.Contains(detail, test.says) {
			t.Errorf("%v: %d %s, want 403 and %q", test.want, status, detail, test.says)
		}
		if r.Header.Get("Location") != "" || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get(probeid.Header) != test.want.String() {
			t.Errorf("%v: %v", test.want, r.Header)
		}
		if n := w.outcomes(test.want); n != counted+1 {
			t.Errorf("%v counted %v times", test.want, n-counted)
		}
	}
	if diff := cmp.Diff(before, w.traces(t)); diff != "" {
		t.Errorf("identities that were refused leave traces (-before +after):\n%s", diff)
	}
}

// Beyond probe.maxRPS the answer is to come again. The limits of names and upstreams are not those of probes.
func TestProbesHaveTheirOwnLimit(t *testing.T) {
	w := newWorld(t, "deny:", strings.Replace(probeConfig(""), "200", "0.01", 1)+"deny:")
	if status, _, _ := w.refused(t, "GET /v2/", claim(awsClient, "GET /v2/")); status != http.StatusOK {
		t.Fatal(status)
	}
	status, detail, r := w.refused(t, "GET /v2/", claim(awsClient, "GET /v2/"))
	if status != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "1" || !strings.Contains(detail, "probe.maxRPS") {
		t.Errorf("%d %s, Retry-After %q", status, detail, r.Header.Get("Retry-After"))
	}
	if n := w.outcomes(probeid.Limited); n != 1 {
		t.Errorf("%v counted", n)
	}

	w = newWorld(t, "deny:", probeConfig("names: [{hosts: [registry.example], maxRPS: 0.001}]\ndeny:"),
		"canonical: true}", "canonical: true, maxRPS: 0.001}", "place: gcp/europe-west1}\nstores", "place: gcp/europe-west1, maxRPS: 0.001}\nstores")
	wiring := w.server.wiring.Load()
	for _, q := range wiring.quotas {
		for q != nil && q.client() { // use it up
		}
	}
	for range 3 {
		r := w.probe(t, gcpClient, "GET /v2/a/manifests/v1")
		if want := w.eu.URL; !strings.HasPrefix(r.Header.Get("Location"), want) {
			t.Errorf("%d to %q, want %s whatever the limits say", r.StatusCode, r.Header.Get("Location"), want)
		}
	}
	if r := w.ask(t, gcpClient, "GET /v2/a/manifests/v1"); r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a client then: %d: the limits of this test limit nothing", r.StatusCode)
	}
}

// Without keys, the header means nothing. With a reload, it does, and what was used stays used.
func TestKeysComeWithAReload(t *testing.T) {
	w := newWorld(t)
	const request = "GET /v2/a/blobs/" + digest
	identity := claim(homeClient, request)
	to := func() string {
		u, _, _ := strings.Cut(w.ask(t, another(), request, identity).Header.Get("Location"), "/b/")
		return u
	}
	if got := to(); got != w.va.URL {
		t.Errorf("without keys: to %q, want va", got)
	}
	load := func(more string) {
		t.Helper()
		cfg, err := config.Parse("test.yaml", []byte(w.config("deny:", more+"deny:")))
		if err != nil {
			t.Fatal(err)
		}
		next, err := w.server.wire(cfg, w.server.wiring.Load())
		if err == nil {
			err = w.server.publish(next)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	load(probeConfig(""))
	if got := to(); got != w.cdn.URL {
		t.Errorf("with keys: to %q, want cdn, as the client that it claims to be", got)
	}
	load(strings.Replace(probeConfig(""), "200", "100", 1))
	if _, detail, _ := w.refused(t, request, identity); !strings.Contains(detail, "used before") {
		t.Errorf("a replay after a reload: %q", detail)
	}
	load("")
	if got := to(); got != w.va.URL {
		t.Errorf("without keys again: to %q, want va", got)
	}
}

// The log of a probe says who sent it and what it claimed, and its bytes are not a client's.
func TestTheLogOfAProbe(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("log: {client: full}\ndeny:"))
	w.probe(t, awsClient, "GET /v2/a/blobs/"+digest)
	w.ask(t, prober, "GET /v2/a/blobs/"+digest, claim(awsClient, "GET /v2/"))
	var lines []map[string]any
	for line := range strings.Lines(w.log.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == "request" {
			for _, drop := range []string{"time", "level", "msg", "weight", "address_source", "method", "kind", "name", "reference", "user_agent"} {
				delete(entry, drop)
			}
			lines = append(lines, entry)
		}
	}
	want := []map[string]any{
		{
			"status": 307.0, "client": prober, "probe": "accepted", "probe_key": "ops", "probe_client": awsClient, "place": "aws/us-east-1",
			"candidate": "va", "reason": "nearest",
		},
		{
			"status": 403.0, "client": prober, "probe": "forged", "probe_key": "ops", "host": "registry.example",
			"error": identityErrors[probeid.Forged].Error(),
		},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("log (-want +got)\n%s", diff)
	}
}

// What a probe costs counts against the network that sends it. So one prober that claims to be many cannot take the
// shares of many.
func TestWhatAProbeCosts(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("deny:"))
	for range maxClientRelays {
		if _, full := w.server.relays.acquire(route.Network(mustAddr(prober))); full != nil {
			t.Fatal(full)
		}
	}
	if r := w.probe(t, gcpClient, "GET /v2/a/tags/list"); r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a tag list for a network that has its share: %d", r.StatusCode)
	}
	w.eu.tags = tagsOf("p/i/a", "", "v1")
	if r := w.ask(t, gcpClient, "GET /v2/a/tags/list"); r.StatusCode != http.StatusOK {
		t.Errorf("the client that it claims to be: %d", r.StatusCode)
	}

	// The checker makes 200 checks at once for a network. The claimed ones are all different.
	q := &request{Request: mustParse(t, "/v2/a/blobs/"+digest), peer: mustAddr(prober), peek: true}
	q.probe = probeid.Verdict{Outcome: probeid.Accepted}
	wiring := w.server.wiring.Load()
	for n := range 600 {
		q.Request = mustParse(t, "/v2/a/blobs/"+digestOf(n))
		q.client = wiring.client(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), wiring.ranges.Locate(mustAddr(awsClient)))
		q.client.Addr = netip.AddrFrom4([4]byte{100, byte(n >> 8), byte(n), 1})
		w.server.decide(t.Context(), wiring, q, &decision{})
	}
	if n := len(w.va.requests()); n > 400 {
		t.Errorf("the store was asked %d times for one prober, which has 200 and then 50 a second", n)
	}
}

// Requests without the header cost no more than without keys.
func TestClientsDoNotPayForProbes(t *testing.T) {
	w := newWorld(t, "limits:", "log: {requests: 0}\nlimits:", "deny:", probeConfig("deny:"))
	h := w.server.Handler()
	for name, p := range hotPaths {
		r, rw := getAs(p.client, p.path), &discard{http.Header{}}
		h.ServeHTTP(rw, r)
		w.settleRepeats(t, h, r)
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(rw, r) }); n > 2 {
			t.Errorf("%s: %v allocations, want at most 2", name, n)
		}
	}
}

// The config accepts what one network can get verified, and no more.
func TestTheHighestLimitOfProbes(t *testing.T) {
	w := newWorld(t)
	text := w.config("deny:", probeConfig("deny:"))
	if _, err := config.Parse("test.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
	over := strings.Replace(text, fmt.Sprintf("probe: {maxRPS: %d", probeid.MaxRPS), fmt.Sprintf("probe: {maxRPS: %d", probeid.MaxRPS+1), 1)
	if _, err := config.Parse("test.yaml", []byte(over)); err == nil || !strings.Contains(err.Error(), "probe.maxRPS") {
		t.Errorf("one more: %v", err)
	}
}

// A prober that claims no address is a client at its own. The answer says that the identity counted.
func TestAProberAsItself(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("deny:"))
	const request = "GET /v2/a/blobs/" + digest
	own := probeid.Header + ": " + probeid.Sign(probeKey, probeid.Claim{
		Method: "GET", Host: "registry.example", Path: "/v2/a/blobs/" + digest, Time: time.Now(),
	})
	r := w.ask(t, awsClient, request, own)
	if got := r.Header.Get(probeid.Header); !strings.HasPrefix(got, "accepted; place=") {
		t.Errorf("%s: %q", probeid.Header, got)
	}
	plain := w.ask(t, awsClient, request)
	if got := plain.Header.Get(probeid.Header); got != "" {
		t.Errorf("without an identity: %s: %q", probeid.Header, got)
	}
	if got, want := answered(t, r), answered(t, plain); got != want {
		t.Errorf("%s, a client at that address gets %s", got, want)
	}
	if r := w.ask(t, awsClient, request, own); r.StatusCode != http.StatusForbidden || r.Header.Get(probeid.Header) != "replayed" {
		t.Errorf("used again: %d %q", r.StatusCode, r.Header.Get(probeid.Header))
	}
}
