package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/publication"
)

const deniedDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111" // by yaml

func (w *overriddenWorld) tag(host, tag, digest string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tags[host+" "+tag] = digest
}

func (w *overriddenWorld) asks(of string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[of]
}

// pull returns the status of a GET and of a HEAD of a tag, which must be the same.
func (w *overriddenWorld) pull(client, tag string) int {
	w.t.Helper()
	path := "/v2/a/manifests/" + tag
	get, head := w.answer("GET", client, path), w.answer("HEAD", client, path)
	if get.Code != head.Code {
		w.t.Errorf("%s: GET %d, HEAD %d", tag, get.Code, head.Code)
	}
	if get.Code == 403 && !strings.Contains(get.Body.String(), `"DENIED"`) {
		w.t.Errorf("%s: %s", tag, get.Body)
	}
	return get.Code
}

// A denied manifest is refused by its tags too, at the upstream where the client would be sent.
func TestTagsOfADeniedDigest(t *testing.T) {
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		w.tag("us.example", "bad", deniedDigest)
		w.tag("us.example", "good", digest)
		w.tag("us.example", "moves", digest)
		w.tag("eu.example", "bad", digest) // a replica that is behind: what it has is not denied
		w.tag("eu.example", "good", deniedDigest)
		us, eu := awsClient, gcpClient
		for _, tt := range []struct {
			client, tag string
			want        int
		}{
			{us, "bad", 403}, {us, "good", 307}, {us, "moves", 307}, {us, "missing", 307}, {eu, "bad", 307}, {eu, "good", 403},
			{us, deniedDigest, 403}, {us, digest, 307},
		} {
			if got := w.pull(tt.client, tt.tag); got != tt.want {
				t.Errorf("%s for %s: %d, want %d", tt.tag, tt.client, got, tt.want)
			}
		}
		if n := w.asks("HEAD us.example/v2/p/i/a/manifests/bad"); n != 1 {
			t.Errorf("asked %d times for one tag", n)
		}
		w.tag("us.example", "moves", deniedDigest)
		w.tag("us.example", "bad", digest)
		w.pass(tagFresh)
		if a, b := w.pull(us, "moves"), w.pull(us, "bad"); a != 403 || b != 307 {
			t.Errorf("tags that moved: %d and %d", a, b)
		}
		if e := w.explain(us, "/v2/a/manifests/moves"); e.Answer.Status != 403 || !strings.Contains(fmt.Sprint(e.Notes), "the tag points to a denied digest at us") {
			t.Errorf("explain: %+v", e)
		}
		if got := w.metric(`ociproxy_denied_tag_checks_total{result="denied"}`); !strings.HasSuffix(got, " 6") {
			t.Errorf("metric: %s", got)
		}
	})
}

// A digest that an override denies is refused by its tags at once, also where the proxy knew before what the tag
// points to, and served again when the override goes.
func TestTagsOfADigestThatAnOverrideDenies(t *testing.T) {
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		w.tag("us.example", "v1", digest)
		if got := w.pull(awsClient, "v1"); got != 307 {
			t.Fatal(got)
		}
		if n := w.asks("HEAD us.example/v2/p/i/a/manifests/v1"); n != 0 {
			t.Errorf("asked %d times although no digest is denied", n)
		}
		deny := publication.Override{ID: "d1", Action: publication.Deny, Digest: digest, Why: "malware", By: "carol", From: time.Now()}
		w.override(deny)
		if got := w.pull(awsClient, "v1"); got != 403 {
			t.Errorf("denied: %d", got)
		}
		if e := w.explain(awsClient, "/v2/a/manifests/v1"); !strings.Contains(fmt.Sprint(e.Notes), digest+" is denied by carol: malware (override d1)") {
			t.Errorf("explain: %v", e.Notes)
		}
		w.pass(time.Hour) // it does not end by itself
		if got := w.pull(awsClient, "v1"); got != 403 {
			t.Errorf("an hour later: %d", got)
		}
		w.override()
		if got := w.pull(awsClient, "v1"); got != 307 {
			t.Errorf("removed: %d", got)
		}
	}, `, digests: ["`+deniedDigest+`"]`, "")
}

// An upstream that does not say what a tag points to does not take all tags away. A tag that was seen at a denied
// digest stays refused.
func TestTagsThatCannotBeLookedUp(t *testing.T) {
	for _, fault := range []string{"hung", "500", "401", "no digest"} {
		t.Run(fault, func(t *testing.T) {
			overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
				w.tag("us.example", "bad", deniedDigest)
				w.tag("us.example", "good", digest)
				if got := w.pull(awsClient, "bad"); got != 403 {
					t.Fatal(got)
				}
				w.set("us.example", fault)
				w.pass(tagFresh)
				begin := time.Now()
				for _, tt := range []struct {
					tag  string
					want int
				}{{"bad", 403}, {"good", 307}, {"new", 307}} {
					if got := w.pull(awsClient, tt.tag); got != tt.want {
						t.Errorf("%s: %d, want %d", tt.tag, got, tt.want)
					}
				}
				if took := time.Since(begin); took > 3*time.Second { // one wait for each tag
					t.Errorf("the clients waited %v", took)
				}
				n := w.asks("HEAD us.example/v2/p/i/a/manifests/good")
				if w.pull(awsClient, "good"); w.asks("HEAD us.example/v2/p/i/a/manifests/good") != n {
					t.Error("asked again at once")
				}
				if e := w.explain(awsClient, "/v2/a/manifests/good"); !strings.Contains(fmt.Sprint(e.Notes), "us did not say what this tag points to: the tag is served") {
					t.Errorf("explain: %v", e.Notes)
				}
				w.set("us.example", "")
				w.tag("us.example", "good", deniedDigest)
				w.pass(tagFresh)
				if got := w.pull(awsClient, "good"); got != 403 {
					t.Errorf("after the fault: %d", got)
				}
			})
		})
	}
}

// The canonical upstream has everything by definition: it is believed about tags even when it claims to have what cannot
// exist.
func TestTagsOfACanonicalThatHasEverything(t *testing.T) {
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		w.set("us.example", "yes to all")
		w.tag("us.example", existence.Nowhere, existence.Nowhere)
		w.tag("us.example", "v1", digest)
		for range 2 {
			if got := w.pull(awsClient, "v1"); got != 307 {
				t.Fatal(got)
			}
			is := w.wiring.Load() // as keepWarm does for the others
			w.checker.Keep(is.target(is.snapshot.Canonical, &somewhere), func() bool { return true })
			w.pass(tagFresh)
		}
		w.tag("us.example", "v1", deniedDigest)
		if got := w.pull(awsClient, "v1"); got != 403 {
			t.Errorf("it moved to a denied digest: %d", got)
		}
	})
}

// The memory of tags has a bound.
func TestTagMemory(t *testing.T) {
	var m tagMemory
	now := time.Now()
	for i := range 3 * maxTags {
		m.put(existence.Key{Kind: oci.KindTag, Ref: fmt.Sprint(i)}, existence.Answer{Content: 1}, true, now, nil)
		if len(m.of) > maxTags {
			t.Fatalf("%d tags", len(m.of))
		}
	}
	if known, again := m.get(existence.Key{Kind: oci.KindTag, Ref: fmt.Sprint(3*maxTags - 1)}, now); again || known.content != 1 {
		t.Errorf("the last one: %+v, again %v", known, again)
	}
}

// A client that asks for many tags does not make the proxy forget which tags are denied.
func TestDeniedTagsAreForgottenLast(t *testing.T) {
	var m tagMemory
	now, denied := time.Now(), map[uint64]struct{}{7: {}}
	bad := existence.Key{Kind: oci.KindTag, Ref: "bad"}
	m.put(bad, existence.Answer{Content: 7}, true, now, denied)
	for i := range 3 * maxTags {
		now = now.Add(time.Second) // the denied one is the oldest
		m.put(existence.Key{Kind: oci.KindTag, Ref: fmt.Sprint(i)}, existence.Answer{Content: 1}, true, now, denied)
	}
	if known, _ := m.get(bad, now); known.content != 7 {
		t.Errorf("%+v", known)
	}
	for i := range 2 * maxTags { // but there is a bound
		m.put(existence.Key{Kind: oci.KindTag, Ref: fmt.Sprint("bad", i)}, existence.Answer{Content: 7}, true, now, denied)
	}
	if len(m.of) > maxTags {
		t.Errorf("%d tags", len(m.of))
	}
}

// Requests by tag cost no more memory while a digest is denied, once the tag is known.
func TestDeniedTagAllocations(t *testing.T) {
	w := benchWorld(t)
	if len(w.server.wiring.Load().deniedTags) != 1 {
		t.Fatal("no digest is denied")
	}
	w.us.say(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Docker-Content-Digest", digest) })
	h, r, rw := w.server.Handler(), getAs(awsClient, "/v2/a/b/manifests/v1"), &discard{http.Header{}}
	h.ServeHTTP(rw, r)
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(rw, r) }); n > 2 {
		t.Errorf("%v allocations, want at most 2", n)
	}
}
