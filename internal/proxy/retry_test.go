package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/config"
	"ociproxy/internal/reach"
)

// digestOf makes distinct digests.
func digestOf(n int) string { return fmt.Sprintf("sha256:%064x", n+1_000_000) }

// to returns the URL of the candidate to which a client is sent for a blob.
func (w *testWorld) to(t *testing.T, client, digest string, headers ...string) string {
	t.Helper()
	u, _, _ := strings.Cut(w.ask(t, client, "GET /v2/a/blobs/"+digest, headers...).Header.Get("Location"), "/b/")
	u, _, _ = strings.Cut(u, "/v2/")
	return u
}

func (w *testWorld) wants(t *testing.T, client, digest, want, why string, headers ...string) {
	t.Helper()
	if got := w.to(t, client, digest, headers...); got != want {
		t.Errorf("%s: to %s, want %s", why, got, want)
	}
}

// A client cannot reach its nearest store. The proxy sends it to another provider's store for everything it asks for.
// If the client cannot reach that one either, the proxy sends it to the upstream that serves its manifests. No other
// client is moved.
func TestAClientThatDoesNotGetThrough(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	client := another()
	w.wants(t, client, digest, w.va.URL, "first")
	w.wants(t, client, digest, w.cdn.URL, "a second try")
	w.wants(t, client, digestOf(1), w.cdn.URL, "another blob")
	if got := w.ask(t, client, "HEAD /v2/a/blobs/"+digestOf(1)).Header.Get("Location"); !strings.HasPrefix(got, w.cdn.URL) {
		t.Errorf("HEAD to %s", got)
	}
	w.wants(t, another(), digest, w.va.URL, "another client")
	w.wants(t, client, digest, w.us.URL, "a third try")
	w.wants(t, client, digestOf(2), w.us.URL, "another blob then")
	m := w.server.metrics
	if got := testutil.ToFloat64(m.Paths.WithLabelValues("complained")); got != 1 {
		t.Errorf("%v complained", got)
	}
	if got := testutil.ToFloat64(m.Retries.WithLabelValues("va")); got != 4 {
		t.Errorf("%v sent past va, want 4", got)
	}
}

// Requests of others showed that only canonical has the blob. The client comes back for it. For the image's other
// blobs, the proxy avoids the store that failed the client, because that store may have lost them too.
func TestAClientThatCanonicalServesNow(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	client, wiring := another(), w.server.wiring.Load()
	req := mustParse(t, "/v2/a/blobs/"+digest)
	w.wants(t, client, digest, w.va.URL, "first")
	for _, o := range []*origin{w.va, w.cdn, w.eu} {
		o.mu.Lock()
		o.lacks = []string{digest}
		o.mu.Unlock()
	}
	for i := range wiring.snapshot.Candidates {
		if i == wiring.snapshot.Canonical {
			continue
		}
		poll(t, "it is known to lack the blob", func() bool { // a check that began before may still run
			known, ok := w.server.checker.CheckAgain(t.Context(), netip.MustParsePrefix("192.0.2.0/24"), wiring.target(i, &req))
			return ok && !known.Held && !known.Failed
		})
	}
	w.wants(t, client, digest, w.us.URL, "a second try")
	w.wants(t, client, digestOf(1), w.cdn.URL, "another blob")
	w.wants(t, another(), digestOf(1), w.va.URL, "another client")
}

// Machines behind one address ask for the same blobs. They stay at their store.
func TestAFleetBehindOneAddress(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	client, past := another(), 0
	const machines, blobs = 50, 12
	for b := range blobs {
		for range machines {
			if w.to(t, client, digestOf(b)) != w.va.URL {
				past++
			}
		}
	}
	if past > 4 {
		t.Errorf("%d of %d went past the nearest", past, machines*blobs)
	}
}

// Requests that are not downloads, or whose failure cannot be recognized, change nothing.
func TestWhatIsNoRepeat(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	chunks := func(size int64, closed bool) (out []string) {
		for at := int64(0); at < 100_000_000; at += size {
			h := fmt.Sprintf("Range: bytes=%d-", at)
			if closed {
				h += fmt.Sprint(at + size - 1)
			}
			out = append(out, h)
		}
		return out
	}
	for name, ranges := range map[string][]string{
		"chunks of 10 000 000":       chunks(10_000_000, true),
		"chunks of 5 000 000":        chunks(5_000_000, true),
		"chunks of 8 MiB":            chunks(8<<20, false),
		"chunks of 1 234 567":        chunks(1_234_567, false),
		"a peek, then the whole":     {"Range: bytes=0-1", ""},
		"the same few bytes":         {"Range: bytes=0-1023", "Range: bytes=0-1023", "Range: bytes=0-1023"},
		"suffixes":                   {"Range: bytes=-500", "Range: bytes=-500"},
		"several ranges":             {"Range: bytes=0-1,5-9", "Range: bytes=0-1,5-9"},
		"a unit that is none":        {"Range: lines=1-", "Range: lines=1-"},
		"two headers":                {"Range: bytes=0-\r\nRange: bytes=5-", "Range: bytes=0-\r\nRange: bytes=5-"},
		"parts, then the whole blob": {"Range: bytes=0-99999", "Range: bytes=100000-199999", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := another()
			for _, h := range ranges {
				var headers []string
				if h != "" {
					headers = []string{h}
				}
				w.wants(t, client, digest, w.va.URL, h, headers...)
			}
		})
	}
	client := another()
	for range 4 {
		if got := w.ask(t, client, "HEAD /v2/a/blobs/"+digest).Header.Get("Location"); !strings.HasPrefix(got, w.va.URL) {
			t.Errorf("HEAD of a blob to %s", got)
		}
	}
	for range 4 {
		for _, request := range []string{"HEAD /v2/a/manifests/v1", "GET /v2/a/manifests/v1"} {
			if got := w.ask(t, gcpClient, request).Header.Get("Location"); !strings.HasPrefix(got, w.eu.URL) {
				t.Errorf("%s to %s: a tag that is asked for again is no repeat", request, got)
			}
		}
	}
}

// A second try counts in every form.
func TestWhatIsARepeat(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	for name, ranges := range map[string][2]string{
		"a cut download that goes on":    {"", "Range: bytes=12345-"},
		"one that begins again":          {"", "Range: bytes=0-"},
		"the same part":                  {"Range: bytes=0-99999", "Range: bytes=0-99999"},
		"the same chunk of a fetch":      {"Range: bytes=8388608-", "Range: bytes=8388608-"},
		"the first chunk":                {"Range: bytes=0-", "Range: bytes=0-"},
		"the unit's case does not count": {"Range: bytes=0-99999", "Range: Bytes=0-99999"},
	} {
		t.Run(name, func(t *testing.T) {
			client := another()
			for i, want := range []string{w.va.URL, w.cdn.URL} {
				var headers []string
				if ranges[i] != "" {
					headers = []string{ranges[i]}
				}
				w.wants(t, client, digest, want, ranges[i], headers...)
			}
		})
	}
}

// Bytes are counted by what the client asks for, and each byte of a download once.
func TestBytesOfRanges(t *testing.T) {
	for name, tt := range map[string]struct {
		ranges []string
		want   float64
	}{
		"whole":                       {[]string{""}, 1000},
		"closed":                      {[]string{"Range: bytes=0-99", "Range: bytes=100-199"}, 200},
		"closed beyond the end":       {[]string{"Range: bytes=900-5000"}, 100},
		"behind the end":              {[]string{"Range: bytes=1000-5000"}, 0},
		"a parallel fetch":            {[]string{"Range: bytes=0-", "Range: bytes=300-", "Range: bytes=600-"}, 1000},
		"a download that goes on":     {[]string{"", "Range: bytes=600-"}, 1000},
		"one that was begun long ago": {[]string{"Range: bytes=600-"}, 400},
		"parts of it":                 {[]string{"Range: bytes=600-", "Range: bytes=800-"}, 400},
		"a suffix":                    {[]string{"Range: bytes=-10"}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "serves: [internet]", "serves: [all]")
			w.ask(t, another(), "HEAD /v2/a/blobs/"+digest) // from now on the proxy knows its size
			client := another()
			for _, h := range tt.ranges {
				var headers []string
				if h != "" {
					headers = []string{h}
				}
				w.ask(t, client, "GET /v2/a/blobs/"+digest, headers...)
			}
			got := 0.0
			families, err := w.server.metrics.Registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == "ociproxy_redirected_bytes_total" {
					for _, m := range f.Metric {
						got += m.Counter.GetValue()
					}
				}
			}
			if got != tt.want {
				t.Errorf("%v bytes, want %v", got, tt.want)
			}
		})
	}
}

// A second try must not move a client from a working store to an upstream that is over its quota.
func TestARetryStaysWhereNothingElseServes(t *testing.T) {
	w := newWorld(t, "canonical: true}", "canonical: true, maxRPS: 0.001}", `  - {name: eu, url: "EU", insecure: true, prefix: p/i, place: gcp/europe-west1}
`, "")
	w.ask(t, another(), "GET /v2/a/manifests/v1") // uses the quota up
	client := another()
	for i := range 5 {
		w.wants(t, client, digest, w.va.URL, fmt.Sprint("try ", i))
	}
}

// A direct name is the reliable way for clients that cannot reach the stores: only the candidates that it lists serve
// it.
func TestDirectNames(t *testing.T) {
	w := newWorld(t, "deny:", `names:
  - {hosts: [direct.example.org, d.example.org], role: direct, candidates: [us], maxRPS: 3}
  - {hosts: [old.example.org], role: legacy}
deny:`)
	h := w.server.Handler()
	ask := func(host, path string) (int, string) {
		r := getAs(another(), path)
		r.Host = host
		rw := &recorder{header: http.Header{}}
		h.ServeHTTP(rw, r)
		return rw.status, rw.header.Get("Location")
	}
	blob := "/v2/a/blobs/" + digest
	for _, host := range []string{"direct.example.org", "DIRECT.example.org:443", "d.example.org."} {
		if status, to := ask(host, blob); status != http.StatusTemporaryRedirect || !strings.HasPrefix(to, w.us.URL) {
			t.Errorf("%s: %d %s", host, status, to)
		}
	}
	if status, _ := ask("direct.example.org", blob); status != http.StatusTooManyRequests {
		t.Errorf("beyond its rate: %d", status)
	}
	if log := w.log.String(); !strings.Contains(log, `"kind":"blob","status":429`) {
		t.Errorf("what is beyond its rate is not logged as a blob: %s", log)
	}
	for _, host := range []string{"old.example.org", "registry.example", "", "direct.example.org.evil", "[::1]:80"} {
		if _, to := ask(host, blob); !strings.HasPrefix(to, w.va.URL) {
			t.Errorf("%q: %s", host, to)
		}
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

// Where there is a disk, what the proxy learned about addresses survives a restart. A damaged file loses only that.
func TestPathsAreKept(t *testing.T) {
	dir := t.TempDir()
	edit := []string{"serves: [internet]", "serves: [all]", "ranges:\n", "ranges:\n  cache: " + dir + "\n"}
	w := newWorld(t, edit...)
	client := another()
	w.wants(t, client, digest, w.va.URL, "first")
	w.wants(t, client, digest, w.cdn.URL, "again")
	ended, end := context.WithCancel(t.Context())
	end()
	file := filepath.Join(dir, "client-paths")
	w.server.savePaths(ended, file)
	// Stores are known by their addresses: the new world has the same ones.
	next := w.again(t, edit...)
	if e, err := next.server.Explain(t.Context(), mustAddr(client), ""); err != nil || e.Answer.Reason != "retried" { // as a command
		t.Errorf("explain: %v, %+v", err, e)
	}
	next.wants(t, client, digestOf(1), w.cdn.URL, "after a restart")
	if err := os.WriteFile(file, []byte("oci-proxy client paths 1\n?"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := w.again(t, edit...)
	damaged.wants(t, client, digestOf(1), w.va.URL, "with a damaged file")
	if !strings.Contains(damaged.log.String(), "client-paths") {
		t.Errorf("the log names no file: %s", damaged.log.String())
	}
}

// again returns another server with the same stores and upstreams.
func (w *testWorld) again(t *testing.T, edit ...string) *testWorld {
	t.Helper()
	next := &testWorld{us: w.us, eu: w.eu, va: w.va, cdn: w.cdn, log: &lockedBuffer{}}
	cfg, err := config.Parse("test.yaml", []byte(next.config(edit...)))
	if err != nil {
		t.Fatal(err)
	}
	if next.server, err = New(Options{Config: cfg, Logger: slog.New(slog.NewJSONHandler(next.log, nil)), Client: &http.Client{Transport: &http.Transport{}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.server.Close)
	return next
}

// Five addresses of three networks complain, so the proxy checks for itself. It denies wrong blobs to all clients, and
// reports what is fine.
func TestComplaintsAreLookedInto(t *testing.T) {
	for _, lacks := range []bool{false, true} {
		t.Run(fmt.Sprint("the store lacks it: ", lacks), func(t *testing.T) {
			w := newWorld(t, "serves: [internet]", "serves: [all]")
			w.va.mu.Lock()
			w.va.empty = true
			w.va.mu.Unlock()
			empty := "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			for i := range 5 {
				client := fmt.Sprintf("2001:db8:%x::1", i)
				if i >= 3 {
					client = fmt.Sprintf("192.0.2.%d", i)
				}
				w.wants(t, client, empty, w.va.URL, "first")
				w.wants(t, client, empty, w.cdn.URL, "again")
			}
			w.wants(t, "192.0.2.99", digestOf(7), w.va.URL, "another blob")
			if lacks {
				w.va.mu.Lock()
				w.va.lacks = []string{empty}
				w.va.mu.Unlock()
			}
			// Two networks (/32, /16) are not enough.
			look := newInspections()
			wiring := w.server.wiring.Load()
			w.server.weigh(t.Context(), wiring, look)
			if got := testutil.CollectAndCount(w.server.metrics.Unexplained); got != 0 {
				t.Fatalf("%d candidates are told of on two networks' word", got)
			}
			other := "198.51.100.77"
			ask := reach.Request{Addr: netip.MustParseAddr(other), Digest: mustParse(t, "/v2/a/blobs/"+empty).Digest, Repository: "a", Origin: wiring.snapshot.Candidates[wiring.index["va"]].Origin}
			for range 2 {
				w.server.evidence.Note(w.server.reach, &ask, w.server.reach.Ask(&ask).Event)
			}
			w.server.weigh(t.Context(), wiring, look)
			told := testutil.CollectAndCount(w.server.metrics.Unexplained)
			if sent := w.to(t, another(), empty); lacks && (told != 0 || sent != w.cdn.URL) {
				t.Errorf("%d told; what it lacks is asked for at %s\n%s", told, sent, w.log)
			}
			if !lacks && (told != 1 || wiring.doubts.Denies(wiring.index["va"], ask.Digest) || !strings.Contains(w.log.String(), "192.0.2.0/24")) {
				t.Errorf("%d candidates told of: %s", told, w.log.String())
			}
		})
	}
}
