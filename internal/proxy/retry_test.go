package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// A client whose download failed asks again: it gets the next candidate, and the store is looked at.
func TestRetry(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	path := "GET /v2/a/blobs/" + digest
	to := func(client string, headers ...string) string {
		return strings.TrimSuffix(w.ask(t, client, path, headers...).Header.Get("Location"), "/b/"+digest)
	}
	if got := to(awsClient); got != w.va.URL {
		t.Fatalf("first to %s", got)
	}
	if got := to(awsClient); got != w.cdn.URL {
		t.Errorf("the second try goes to %s, want the next candidate", got)
	}
	poll(t, "the store is checked again", func() bool { return len(w.va.requests()) == 2 })
	poll(t, "a checked store is used again", func() bool { return to(awsClient) == w.va.URL })
	client := another()
	if got := to(client); got != w.va.URL {
		t.Errorf("another client to %s", got)
	}
	if got := to(client, "Range: bytes=12345-"); got != w.cdn.URL {
		t.Errorf("a resumed download goes to %s, want the next candidate", got)
	}
	client = another()
	for i := range 5 {
		if got := to(client, fmt.Sprintf("Range: bytes=%d-", i<<23)); got != w.va.URL {
			t.Errorf("chunk %d goes to %s", i, got)
		}
	}
}

// A replica that has lost a manifest or tag must not fail a pull: the second try goes elsewhere. HEAD before GET is how
// clients begin, not a second try.
func TestRetryOfManifests(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v2/a/manifests/" + digest, "/v2/a/manifests/v1"} {
		to := func(client, method string) string {
			u, _, _ := strings.Cut(w.ask(t, client, method+" "+path).Header.Get("Location"), "/v2/")
			return u
		}
		for _, step := range []struct{ client, method, want string }{
			{gcpClient, "HEAD", w.eu.URL}, {gcpClient, "GET", w.eu.URL},
			{gcpClient, "HEAD", w.us.URL},
		} {
			if got := to(step.client, step.method); got != step.want {
				t.Errorf("%s %s to %s, want %s", step.method, path, got, step.want)
			}
		}
		poll(t, "a checked replica is used again", func() bool { return to(gcpClient, "HEAD") == w.eu.URL })
	}
}

// Whoever had trouble with a store is sent past it with every digest, until it is found to be well: a pull has more
// layers than tries.
func TestRetryShunsTheStore(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	const other = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	const third = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
	to := func(client, d string) string {
		return strings.TrimSuffix(w.ask(t, client, "GET /v2/a/blobs/"+d).Header.Get("Location"), "/b/"+d)
	}
	lacks := func(digests ...string) {
		w.va.mu.Lock()
		w.va.lacks = digests
		w.va.mu.Unlock()
	}
	client := another()
	for _, d := range []string{digest, other, third} {
		if got := to(another(), d); got != w.va.URL {
			t.Fatalf("%s to %s", d, got)
		}
	}
	if got := to(client, digest); got != w.va.URL {
		t.Fatalf("first try to %s", got)
	}
	lacks(digest)
	for _, d := range []string{digest, other} {
		if got := to(client, d); got != w.cdn.URL {
			t.Errorf("%s to %s, want the next candidate", d, got)
		}
	}
	if got := to(another(), other); got != w.va.URL {
		t.Errorf("another client to %s", got)
	}
	lacks()
	poll(t, "the store is well", func() bool { return to(client, other) == w.va.URL })
	if got := to(client, third); got != w.va.URL {
		t.Errorf("then to %s", got)
	}
}

// The same when others had found out by then what is wrong: the second try of the first layer goes elsewhere of itself, and all other
// layers have to go there too. And the place that it goes to is not blamed.
func TestRetryShunsWhatOthersFoundOut(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	const other = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	to := func(client, d string) string {
		return strings.TrimSuffix(w.ask(t, client, "GET /v2/a/blobs/"+d).Header.Get("Location"), "/b/"+d)
	}
	client := another()
	for _, d := range []string{digest, other} {
		if got := to(another(), d); got != w.va.URL {
			t.Fatalf("%s to %s", d, got)
		}
	}
	if got := to(client, digest); got != w.va.URL {
		t.Fatalf("first try to %s", got)
	}
	w.va.mu.Lock()
	w.va.lacks = []string{digest}
	w.va.mu.Unlock()
	somebody := another()
	for range 2 {
		to(somebody, digest)
	}
	poll(t, "it is known that the store lacks it", func() bool { return to(another(), digest) == w.cdn.URL })
	for _, d := range []string{digest, other} {
		if got := to(client, d); got != w.cdn.URL {
			t.Errorf("%s to %s, want the next candidate", d, got)
		}
	}
	if got := to(another(), other); got != w.va.URL {
		t.Errorf("another client to %s", got)
	}
}

// A second try must not lose a store that works to an upstream that is over its quota.
func TestARetryStaysWhereNothingElseServes(t *testing.T) {
	w := newWorld(t, "canonical: true}", "canonical: true, maxRPS: 0.001}", `  - {name: eu, url: "EU", insecure: true, prefix: p/i, place: gcp/europe-west1}
`, "")
	w.ask(t, another(), "GET /v2/a/manifests/v1") // uses the quota up
	client := another()
	for i := range 5 {
		if got := w.ask(t, client, "GET /v2/a/blobs/"+digest).Header.Get("Location"); got != w.va.URL+"/b/"+digest {
			t.Errorf("try %d: Location %q, want the store", i, got)
		}
	}
}
