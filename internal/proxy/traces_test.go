package proxy

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	invwrite "ociproxy/internal/inventory/write"
	"ociproxy/internal/reach"
)

// traces is all that requests of clients write, as text by name. Answers of existence checks are not among it: they say
// what candidates hold, whoever asked.
func (w *testWorld) traces(t *testing.T) map[string]string {
	t.Helper()
	s, out := w.server, map[string]string{}
	wiring := s.wiring.Load()
	var paths bytes.Buffer
	_ = s.reach.Save(&paths)
	out["addresses"] = fmt.Sprint(paths.Len(), maphash.Bytes(traceSeed, paths.Bytes()))
	out["complaints"] = fmt.Sprint(reflect.ValueOf(s.evidence).Elem().FieldByName("origins").Len())
	stays := 0
	for _, set := range &s.stays.sets {
		for _, e := range set {
			stays += int(e.key&1) + int(e.last&0xffff)
		}
	}
	for _, c := range &s.stays.compared {
		stays += int(c.key&1) + int(c.tried&0xffff)
	}
	out["stays"] = fmt.Sprint(stays)
	for name, of := range map[string]*recent{"asked for": &s.again.asks, "asked about": &s.again.looks} {
		n := 0
		for i := range of.words {
			if of.words[i].Load() != 0 {
				n++
			}
		}
		out[name] = fmt.Sprint(n)
	}
	out["checks after redirects"] = fmt.Sprint(s.afterwards.token.Load(), s.repeated.token.Load())
	out["relays"] = fmt.Sprint(s.relays.free, len(s.relays.clients))
	out["doubts"] = fmt.Sprint(wiring.doubts.Len())
	for i := range wiring.snapshot.Candidates {
		name := wiring.snapshot.Candidates[i].Name
		out["health "+name] = fmt.Sprint("suspected: ", wiring.health.Suspected(i))
		out["samples "+name] = fmt.Sprint(len(wiring.samples[i].ring), wiring.samples[i].next.Load())
		if q := wiring.quotas[i]; q != nil {
			out["quota "+name] = fmt.Sprintf("%.1f", q.all.Tokens())
		}
	}
	for host, n := range wiring.names {
		if n.limit != nil {
			out["limit "+host] = fmt.Sprintf("%.1f", n.limit.Tokens())
		}
	}
	for i, p := range wiring.snapshot.Places() {
		if wiring.places[i].Load() {
			out["place "+p.String()] = "noted"
		}
	}
	families, err := s.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "ociproxy_") && name != "ociproxy_probe_requests_total" {
			out["metric "+name] = fmt.Sprint(f.GetMetric())
		}
	}
	return out
}

var traceSeed = maphash.MakeSeed()

// Many probes, of every kind and as every client, leave no trace: neither in what the proxy knows of clients and
// candidates, nor in what it counts.
func TestProbesLeaveNoTrace(t *testing.T) {
	bucket := &inventorytest.Bucket{}
	publish(t, invwrite.New(bucket, invwrite.Options{Store: "va"}), inventory.Blob, digest)
	w := newWorld(t, `place: aws/us-east-1, serves: [aws]`, `place: aws/us-east-1, inventory: {url: "VA/inventory/"}, serves: [aws]`,
		"deny:", probeConfig("names: [{hosts: [registry.example], maxRPS: 0.001}]\ndeny:"),
		"canonical: true}", "canonical: true, maxRPS: 0.001}",
		"place: gcp/europe-west1}\nstores", "place: gcp/europe-west1, maxRPS: 0.001}\nstores")
	w.va.mu.Lock()
	w.va.inventory = bucket
	w.va.mu.Unlock()
	if err := w.server.inventories.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.server.afterwards.token.Store(true)
	w.server.repeated.token.Store(true)
	stays, wiring, tag := w.server.stays, w.server.wiring.Load(), &request{Request: mustParse(t, "/v2/a/manifests/v0")}
	tag.client.Addr = mustAddr(gcpClient)
	began := stays.now()
	p := w.server.plan(wiring, tag, wiring.snapshot.Canonical)
	stays.claim(&p) // a network stays at canonical, and it is time to compare
	stays.now = func() moment { return began + moment(6*time.Minute) }
	w.server.Handler() // makes the series of requests
	before := w.traces(t)
	broken := func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusInternalServerError) }
	for round, say := range []http.HandlerFunc{nil, broken} {
		for _, o := range []*origin{w.us, w.eu, w.cdn} {
			o.say(say)
		}
		w.eu.tags = tagsOf("p/i/a", "", "v1")
		for _, client := range []string{awsClient, gcpClient, homeClient, "2001:db8::7"} {
			blob, tag, manifest := "/v2/a/blobs/"+digest, fmt.Sprint("/v2/a/manifests/v", round), "/v2/a/manifests/"+digestOf(round)
			for _, request := range []string{
				"GET " + blob, "GET " + blob, "GET " + blob, "GET " + blob, "HEAD " + blob, "GET /v2/a/blobs/" + digestOf(round),
				"GET " + tag, "GET " + tag, "HEAD " + tag, "GET " + manifest, "GET " + manifest, "GET /v2/a/tags/list", "GET /v2/a/tags/list?n=1",
				"GET /v2/a/referrers/" + digest, "GET /v2/", "GET /v2/secret/manifests/v1", "GET /v2/Bad", "GET /",
			} {
				w.probe(t, client, request)
			}
		}
	}
	if diff := cmp.Diff(before, w.traces(t)); diff != "" {
		t.Errorf("probes leave traces (-before +after):\n%s", diff)
	}
	// A client does leave some.
	w.ask(t, awsClient, "GET /v2/a/blobs/"+digest)
	if after := w.traces(t); after["limit registry.example"] == before["limit registry.example"] ||
		after["checks after redirects"] == before["checks after redirects"] || after["metric ociproxy_redirects_total"] == "" {
		t.Errorf("a client leaves no traces either: %v", after)
	}
}

// A probe as a client that does not get through sees where that client is sent, and neither the probe nor an
// explanation changes what is known about the client.
func TestAProbeAsAClientThatDoesNotGetThrough(t *testing.T) {
	w := newWorld(t, "deny:", probeConfig("deny:"), "  - {name: eu,", "  - {name: eu, state: off,")
	client, wiring := another(), w.server.wiring.Load()
	req := mustParse(t, "/v2/a/blobs/"+digest)
	va := wiring.snapshot.Candidates[wiring.index["va"]].Origin
	for range 2 { // as two downloads would, with no other candidate to skip to
		w.server.reach.Ask(&reach.Request{Addr: mustAddr(client), Digest: req.Digest, Repository: "a", Origin: va})
	}
	before := w.traces(t)["addresses"]
	for _, method := range []string{"GET", "GET", "HEAD"} {
		r := w.probe(t, client, method+" /v2/a/blobs/"+digest)
		if to := r.Header.Get("Location"); !strings.HasPrefix(to, w.us.URL) {
			t.Errorf("%s to %q, want canonical, as the client", method, to)
		}
	}
	for _, path := range []string{"", "/v2/a/blobs/" + digest} {
		e, err := w.server.Explain(t.Context(), mustAddr(client), path)
		if err != nil || e.Answer.Candidate != "us" || e.Answer.Reason != "retried" {
			t.Errorf("explain %q: %v, %+v", path, err, e.Answer)
		}
		var text strings.Builder
		_ = e.WriteText(&text)
		until := e.Answer.Until.Format(time.RFC3339)
		for _, want := range []string{
			"could answer, but this address is sent past it because of what it asked for again", "answer   307 us (retried)",
			"note     this address asked again for what va was to deliver, so it is sent past va: until " + until,
		} {
			if !strings.Contains(text.String(), want) || !time.Now().Before(e.Answer.Until) {
				t.Errorf("explain %q lacks %q:\n%s", path, want, text.String())
			}
		}
	}
	if after := w.traces(t)["addresses"]; after != before {
		t.Error("what is known about the address has changed")
	}
	if r := w.probe(t, another(), "GET /v2/a/blobs/"+digest); !strings.HasPrefix(r.Header.Get("Location"), w.va.URL) {
		t.Errorf("as another: to %q, want va", r.Header.Get("Location"))
	}
}
