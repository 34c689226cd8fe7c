package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	invwrite "ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// listedWorld returns a world whose store in Virginia publishes an inventory that lists the given digests.
func listedWorld(t testing.TB, digests ...string) (*testWorld, *invwrite.Writer) {
	t.Helper()
	bucket := &inventorytest.Bucket{}
	writer := invwrite.New(bucket, invwrite.Options{Store: "va"})
	publish(t, writer, inventory.Blob, digests...)
	w := newWorld(t, `place: aws/us-east-1, serves: [aws]`, `place: aws/us-east-1, inventory: {url: "VA/inventory/"}, serves: [aws]`)
	w.va.mu.Lock()
	w.va.inventory = bucket
	w.va.mu.Unlock()
	if err := w.server.inventories.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.va.forget()
	return w, writer
}

func publish(t testing.TB, w *invwrite.Writer, kind inventory.Kind, digests ...string) {
	t.Helper()
	var records []inventory.Record
	for _, s := range digests {
		d, err := oci.ParseDigest(s)
		if err != nil {
			t.Fatal(err)
		}
		r := inventory.Record{Digest: d, Size: 1000, Kind: kind}
		if kind == inventory.Tombstone {
			r.Size = 0
		}
		records = append(records, r)
	}
	if _, err := w.Apply(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

func other(i byte) string {
	return "sha256:" + strings.Repeat("0", 62) + string([]byte{'a' + i/16, 'a' + i%16})
}

func (w *testWorld) sentTo(t *testing.T, client, d string) string {
	t.Helper()
	location := w.ask(t, client, "GET /v2/a/blobs/"+d).Header.Get("Location")
	for name, o := range map[string]*origin{"us": w.us, "eu": w.eu, "va": w.va, "cdn": w.cdn} {
		if strings.HasPrefix(location, o.URL+"/") {
			return name
		}
	}
	return location
}

func TestAnInventoryAnswersWithoutAsking(t *testing.T) {
	w, _ := listedWorld(t, digest)
	if got := w.sentTo(t, another(), digest); got != "va" {
		t.Errorf("listed: to %s, want va", got)
	}
	if got := w.sentTo(t, another(), other(1)); got != "us" {
		t.Errorf("not listed: to %s, want us", got)
	}
	if got := w.va.requests(); len(got) != 0 {
		t.Errorf("the store was asked: %v", got)
	}
}

func TestATombstoneEndsIt(t *testing.T) {
	w, writer := listedWorld(t, digest)
	publish(t, writer, inventory.Tombstone, digest)
	if err := w.server.inventories.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.sentTo(t, another(), digest); got != "us" {
		t.Errorf("to %s, want us", got)
	}
}

func TestAnInventoryThatIsGoneMeansAsking(t *testing.T) {
	w, _ := listedWorld(t, digest)
	w.va.mu.Lock()
	w.va.inventory = http.NotFoundHandler()
	w.va.mu.Unlock()
	if err := w.server.inventories.Refresh(t.Context()); err == nil {
		t.Error("no error although it is gone")
	}
	w.va.forget()
	if got := w.sentTo(t, another(), other(1)); got != "va" { // the store holds everything, listed or not
		t.Errorf("to %s, want va", got)
	}
	if got := w.va.requests(); len(got) != 1 || !strings.HasPrefix(got[0], "HEAD ") {
		t.Errorf("the store was asked %v, want one HEAD", got)
	}
}

// Checks of redirects find a store that does not have one listed digest. A store that does not have three is no longer
// believed.
func TestRedirectsAreCheckedAfterwards(t *testing.T) {
	missing := []string{absent, strings.Replace(absent, "00000000", "00000001", 1), strings.Replace(absent, "00000000", "00000002", 1)}
	w, writer := listedWorld(t, append(missing, digest)...)
	w.va.mu.Lock()
	w.va.lacks = missing
	w.va.mu.Unlock()
	w.server.noteRewritten(w.server.wiring.Load()) // as the server does all the time
	for i, d := range missing {
		w.server.afterwards.token.Store(true)
		if got := w.sentTo(t, another(), d); got != "va" {
			t.Fatalf("%d: first to %s, want va, which lists it", i, got)
		}
		poll(t, "the next client is sent elsewhere", func() bool { return w.sentTo(t, another(), d) == "us" })
	}
	poll(t, "a report", func() bool { return strings.Contains(w.log.String(), "lacks what its inventory lists") })
	w.va.forget()
	if got := w.sentTo(t, another(), digest); got != "va" {
		t.Errorf("to %s, want va", got)
	}
	if len(w.va.requests()) != 1 {
		t.Error("a doubted store is not asked")
	}
	// The mirror repairs it and rewrites the inventory.
	s := w.server
	s.noteRewritten(s.wiring.Load())
	publish(t, writer, inventory.Tombstone, missing...)
	if err := s.inventories.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.noteRewritten(s.wiring.Load())
	if demoted := s.wiring.Load().doubts.Demoted(); !demoted.Empty() {
		t.Error("not believed after it was rewritten")
	}
}

// An object under a listed digest that gives clients other bytes counts as missing.
func TestAnotherThingIsLacking(t *testing.T) {
	for name, header := range map[string][2]string{
		"an encoding": {"Content-Encoding", "gzip"}, "aws-chunked": {"Content-Encoding", "aws-chunked"}, "another size": {"Content-Length", "999"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := listedWorld(t, digest)
			w.va.say(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", "1000")
				rw.Header().Set(header[0], header[1])
			})
			w.server.afterwards.token.Store(true)
			if got := w.sentTo(t, another(), digest); got != "va" {
				t.Fatalf("first to %s, want va, which lists it", got)
			}
			poll(t, "the next client is sent elsewhere", func() bool { return w.sentTo(t, another(), digest) == "us" })
		})
	}
}

func TestReadinessWaitsForInventories(t *testing.T) {
	w := newWorld(t, `place: aws/us-east-1, serves: [aws]`, `place: aws/us-east-1, inventory: {url: "VA/inventory/"}, serves: [aws]`)
	if w.server.ready() {
		t.Fatal("ready before the inventory was read")
	}
	w.server.started = time.Now().Add(-readyWithin)
	if !w.server.ready() {
		t.Error("not ready after the time has passed: a dead store must not keep an instance down")
	}
	w, _ = listedWorld(t, digest)
	if !w.server.ready() {
		t.Error("not ready although the inventory was read")
	}
}

// Whichever candidates are ejected, pulls continue: canonical is always the last resort.
func TestEverythingIsEjected(t *testing.T) {
	w, _ := listedWorld(t, digest)
	q, d := request{Request: mustParse(t, "/v2/a/blobs/"+digest)}, decision{}
	wiring := w.server.wiring.Load()
	q.client = wiring.client(netip.MustParseAddr(awsClient), wiring.ranges.Locate(netip.MustParseAddr(awsClient)))
	d.state = stateOf(wiring)
	d.state.Usable.AndNot(&wiring.all)
	w.server.settle(t.Context(), wiring, &q, &d, false)
	if d.refused != nil || d.Candidate != wiring.snapshot.Canonical {
		t.Errorf("refused %v, candidate %d", d.refused, d.Candidate)
	}
}

func mustParse(t *testing.T, path string) oci.Request {
	t.Helper()
	req, err := oci.Parse(path, "")
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func stateOf(w *wiring) route.State { return route.State{Usable: w.all, Holds: w.all} }

// No client is sent to a store that is off, so its health does not matter.
func TestInactiveCandidatesAreNotProbed(t *testing.T) {
	w := newWorld(t, "serves: [aws]}", "serves: [aws], state: off}")
	wiring := w.server.wiring.Load()
	for i, target := range w.server.targets(wiring) {
		active := wiring.snapshot.Candidates[i].Active
		if probed := target.Sample != nil || target.Ping != ""; probed != active {
			t.Errorf("%s: active %v, probed %v", target.Name, active, probed)
		}
	}
}
