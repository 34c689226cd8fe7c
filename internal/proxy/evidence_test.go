package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/oci"
	"ociproxy/internal/reach"
)

// complain makes seven addresses, each of another network, ask again for a blob that candidate name was to send them.
func (w *testWorld) complain(t *testing.T, name, digest string) oci.Digest {
	t.Helper()
	wiring := w.server.wiring.Load()
	d := mustParse(t, "/v2/a/blobs/"+digest).Digest
	for i := range 7 {
		r := reach.Request{
			Addr: netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), Digest: d, Repository: "a",
			Origin: wiring.snapshot.Candidates[wiring.index[name]].Origin,
		}
		for range 2 {
			w.server.evidence.Note(w.server.reach, &r, w.server.reach.Ask(&r).Event)
		}
	}
	return d
}

// told returns the candidates that the metrics report as fine from here.
func (w *testWorld) told(t *testing.T) (names string) {
	t.Helper()
	families, err := w.server.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ociproxy_unexplained_client_failures" {
			for _, m := range f.Metric {
				names += m.Label[0].GetValue() + " "
			}
		}
	}
	return names
}

func lacks(o *origin, digest string) {
	o.mu.Lock()
	o.lacks = []string{digest}
	o.mu.Unlock()
}

// whole makes an origin serve the empty blob correctly.
func whole(o *origin) {
	o.mu.Lock()
	o.empty = true
	o.mu.Unlock()
}

// The second round downloaded nothing, so a store that had been found wrong was reported to look fine.
func TestWhatIsWrongStaysWrong(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	lacks(w.va, digest)
	w.complain(t, "va", digest)
	done := newInspections()
	for range 3 {
		w.server.weigh(t.Context(), w.server.wiring.Load(), done)
	}
	if told := w.told(t); told != "" || strings.Contains(w.log.String(), "looks fine") {
		t.Errorf("%q told, %s", told, w.log.String())
	}
	if n := strings.Count(strings.Join(w.va.requests(), "\n"), "GET"); n != 1 {
		t.Errorf("downloaded %d times in a moment, want once", n)
	}
	// Repaired, it explains the complaints that are left.
	lacks(w.va, "none")
	whole(w.va)
	for k, was := range done.seen {
		was.at = was.at.Add(-inspectEvery)
		done.seen[k] = was
	}
	w.server.weigh(t.Context(), w.server.wiring.Load(), done)
	if told := w.told(t); told != "" {
		t.Errorf("mended: %q told", told)
	}
}

// A wrong blob still counts when newer complaints come before it.
func TestWhatIsWrongStaysWrongBehindOthers(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	whole(w.va)
	lacks(w.va, digestOf(1))
	wiring := w.server.wiring.Load()
	good, bad := mustParse(t, "/v2/a/blobs/"+digest).Digest, mustParse(t, "/v2/a/blobs/"+digestOf(1)).Digest
	f := reach.Finding{Origin: wiring.snapshot.Candidates[wiring.index["va"]].Origin, Digests: []oci.Digest{bad}}
	done := newInspections()
	for _, digests := range [][]oci.Digest{{bad}, {good, good, good, bad}, {bad, good}} {
		f.Digests = digests
		done.begin(time.Now())
		if got := w.server.fineFor(t.Context(), wiring, &f, done); len(got) != 0 {
			t.Errorf("%d digests: %v fine", len(digests), got)
		}
	}
	f.Digests = []oci.Digest{good}
	if got := w.server.fineFor(t.Context(), wiring, &f, done); len(got) != 1 {
		t.Errorf("%v fine", got)
	}
}

// A candidate that is fine stays reported while nothing more is downloaded.
func TestWhatIsFineStaysTold(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	whole(w.va)
	w.complain(t, "va", digest)
	done := newInspections()
	for range 3 {
		w.server.weigh(t.Context(), w.server.wiring.Load(), done)
		if told := w.told(t); told != "va " {
			t.Errorf("%q told", told)
		}
		done.bytes = 0
	}
}

func TestWhatWasNotLookedAtIsNotTold(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx   context.Context
		of    string
		bytes int64
		edit  []string
	}{
		"an upstream":          {t.Context(), "eu", inspectBytes, nil},
		"no bytes left":        {t.Context(), "va", 0, nil},
		"a blob too large":     {t.Context(), "va", 10, nil},
		"about to end":         {canceled, "va", inspectBytes, nil},
		"no longer in service": {t.Context(), "va", inspectBytes, []string{"serves: [aws]", "serves: [aws], state: draining"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.edit...)
			w.complain(t, tt.of, digest)
			done := newInspections()
			done.since, done.bytes = time.Now(), tt.bytes
			for range 2 {
				w.server.weigh(tt.ctx, w.server.wiring.Load(), done)
			}
			if told := w.told(t); told != "" || strings.Contains(w.log.String(), "ask for again is wrong") {
				t.Errorf("%q told, %s", told, w.log.String())
			}
		})
	}
}

// The right bytes with an encoding are wrong for clients, because clients decode them.
func TestAnEncodedBlobIsWrong(t *testing.T) {
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, encoding := range []string{"", "gzip"} {
		w := newWorld(t)
		w.va.say(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", encoding)
			rw.Header().Set("Content-Length", "0")
		})
		w.complain(t, "va", empty)
		w.server.weigh(t.Context(), w.server.wiring.Load(), newInspections())
		if wrong := strings.Contains(w.log.String(), "ask for again is wrong"); wrong != (encoding != "") {
			t.Errorf("%q: wrong %v, %s", encoding, wrong, w.log.String())
		}
	}
}

// For a store without an inventory, a missing blob is an answer that expires. A denial would not expire.
func TestADenialEnds(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	w.va.say(func(rw http.ResponseWriter, _ *http.Request) { // bytes that do not match the digest
		rw.Header().Set("Content-Length", "1")
		_, _ = rw.Write([]byte("x"))
	})
	w.wants(t, another(), digest, w.va.URL, "before")
	wiring := w.server.wiring.Load()
	d := w.complain(t, "va", digest)
	done := newInspections()
	for range 2 {
		w.server.weigh(t.Context(), wiring, done)
		w.wants(t, another(), digest, w.cdn.URL, "what is wrong")
		// The store itself reports that it has the blob.
		req := oci.Request{Kind: oci.KindBlob, Name: "a", Digest: d}
		w.server.checker.CheckAgain(t.Context(), netip.Prefix{}, wiring.target(wiring.index["va"], &req))
		w.wants(t, another(), digest, w.va.URL, "for a moment")
	}
	if n := wiring.doubts.Len(); n != 0 {
		t.Errorf("%d denials", n)
	}
	// For a store with an inventory it is a denial, until the inventory is rewritten.
	w, _ = listedWorld(t, digest)
	lacks(w.va, digest)
	wiring = w.server.wiring.Load()
	d = w.complain(t, "va", digest)
	w.server.weigh(t.Context(), wiring, newInspections())
	if !wiring.doubts.Denies(wiring.index["va"], d) {
		t.Error("what it lacks against its inventory is not denied")
	}
}

// A bucket may be open only to its own network. If it refuses us, that says nothing about its clients.
func TestARefusalOfOursAlone(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		for _, has := range []bool{true, false} {
			t.Run(fmt.Sprint(status, " ", has), func(t *testing.T) {
				w := newWorld(t, `cdn: cloudfront, serves: [internet]`, `cdn: cloudfront, check: "VA/b/{digest}", serves: [all]`,
					"serves: [aws]", "serves: [aws], state: off")
				w.cdn.say(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) })
				whole(w.va)
				if !has {
					lacks(w.va, digest)
				}
				w.complain(t, "cdn", digest)
				done := newInspections()
				for range 2 {
					w.server.weigh(t.Context(), w.server.wiring.Load(), done)
				}
				told, log := w.told(t), strings.Contains(w.log.String(), "ask for again is wrong")
				if told != "" || log == has {
					t.Errorf("%q told, found wrong %v", told, log)
				}
				want := w.us.URL
				if has {
					want = w.cdn.URL
				}
				w.wants(t, another(), digest, want, "others")
			})
		}
	}
}

// A CDN and the bucket behind it have one origin. A fault of one must not be attributed to the other.
func TestTwoCandidatesOfOneOrigin(t *testing.T) {
	for name, tt := range map[string]struct{ lacks, told string }{
		"both are fine":       {"", "cdn va "},
		"the CDN is wrong":    {"cdn", ""},
		"the bucket is wrong": {"va", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, `cdn: cloudfront, serves: [internet]`, `cdn: cloudfront, check: "VA/b/{digest}", serves: [all]`)
			whole(w.va)
			whole(w.cdn)
			if o := map[string]*origin{"va": w.va, "cdn": w.cdn}[tt.lacks]; o != nil {
				lacks(o, digest)
			}
			w.complain(t, "va", digest)
			w.server.weigh(t.Context(), w.server.wiring.Load(), newInspections())
			if told := w.told(t); told != tt.told {
				t.Errorf("%q told, want %q", told, tt.told)
			}
			if tt.lacks != "" && !strings.Contains(w.log.String(), `"candidate":"`+tt.lacks+`"`) {
				t.Errorf("the log does not name %s: %s", tt.lacks, w.log.String())
			}
			if tt.lacks == "cdn" {
				w.wants(t, another(), digest, w.va.URL, "the bucket has it")
			}
			if got := testutil.CollectAndCount(w.server.metrics.Unexplained); got != len(strings.Fields(tt.told)) {
				t.Errorf("%d series", got)
			}
		})
	}
}
