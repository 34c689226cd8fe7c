package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/route"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// stayWorld is a world with its own clock. Its quota can take the replica away for a moment.
type stayWorld struct {
	*testWorld
	clock *clock
}

func newStayWorld(t *testing.T, edit ...string) *stayWorld {
	w := &stayWorld{newWorld(t, append([]string{`url: "EU", insecure: true,`, `url: "EU", insecure: true, maxRPS: 100000,`}, edit...)...), &clock{at: moment(time.Hour)}}
	w.server.stays.now = func() moment { return w.clock.at }
	return w
}

// away uses up the quota of the replica, or gives it back.
func (w *stayWorld) away(yes bool) {
	wiring := w.server.wiring.Load()
	limit := wiring.quotas[wiring.index["eu"]].all
	limit.SetLimit(rate.Inf)
	if yes {
		limit.SetLimit(0)
		limit.SetBurst(0)
	}
}

func (w *stayWorld) polls(t *testing.T, client, request, want string) {
	t.Helper()
	got := w.ask(t, client, request).Header.Get("Location")
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s of %s: Location %q, want %s", request, client, got, want)
	}
}

// With a replica that lags, a client that polled a tag saw new, old, new.
func TestATagDoesNotFlipBack(t *testing.T) {
	w := newStayWorld(t)
	const head, get = "HEAD /v2/a/manifests/v1", "GET /v2/a/manifests/v1"
	for range 3 {
		w.polls(t, gcpClient, head, w.eu.URL)
		w.polls(t, gcpClient, get, w.eu.URL)
	}
	w.away(true)
	w.polls(t, gcpClient, head, w.us.URL)
	w.away(false)
	for range 3 {
		w.clock.pass(time.Minute)
		w.polls(t, gcpClient, head, w.us.URL)
		w.polls(t, "198.51.100.77", get, w.us.URL) // in the same network
	}
	w.polls(t, gcpClient, "HEAD /v2/a/manifests/v2", w.eu.URL)
	w.polls(t, gcpClient, "HEAD /v2/b/manifests/v1", w.eu.URL)
	w.polls(t, gcpClient, "GET /v2/a/manifests/"+digest, w.eu.URL) // a digest never changes
	wiring := w.server.wiring.Load()
	for _, other := range []string{awsClient, "2001:db8:77::1"} { // never sent elsewhere before
		q, d := &request{Request: mustParse(t, "/v2/a/manifests/v1")}, &decision{}
		q.client = wiring.client(mustAddr(other), wiring.ranges.Locate(mustAddr(gcpClient)))
		w.server.resolve(t.Context(), wiring, q, d)
		w.server.stay(t.Context(), wiring, q, d)
		if got := wiring.snapshot.Candidates[d.Candidate].Name; got != "eu" {
			t.Errorf("%s to %s", other, got)
		}
	}
	e, err := w.server.Explain(t.Context(), mustAddr(gcpClient), "/v2/a/manifests/v1")
	if err != nil || e.Answer.Candidate != "us" || e.Answer.Reason != route.Stayed.String() {
		t.Errorf("explain: %v %+v", err, e.Answer)
	}
	w.clock.pass(10 * time.Minute)
	w.polls(t, gcpClient, head, w.eu.URL)
}

// The lag belongs to the replica.
func TestAReplicaThatIsNeverBehind(t *testing.T) {
	w := newStayWorld(t, `place: gcp/europe-west1}
stores`, `place: gcp/europe-west1, lag: 0s}
stores`)
	const head = "HEAD /v2/a/manifests/v1"
	w.away(true)
	w.polls(t, gcpClient, head, w.us.URL)
	w.away(false)
	w.polls(t, gcpClient, head, w.eu.URL)
}

// An old image is better than none.
func TestWhoCannotStayIsServed(t *testing.T) {
	w := newStayWorld(t, "canonical: true}", "canonical: true, maxRPS: 100000}")
	const head = "HEAD /v2/a/manifests/v1"
	w.away(true)
	w.polls(t, gcpClient, head, w.us.URL)
	w.away(false)
	wiring := w.server.wiring.Load()
	wiring.quotas[wiring.snapshot.Canonical].all.SetLimit(0)
	wiring.quotas[wiring.snapshot.Canonical].all.SetBurst(0)
	w.polls(t, gcpClient, head, w.eu.URL)
}

// Lists of tags flipped too, when the near upstream sometimes failed.
func TestAListDoesNotFlipBack(t *testing.T) {
	w := newStayWorld(t)
	list := func(o *origin, tag string, status int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.tags = func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			fmt.Fprintf(rw, `{"name":"p/i/a","tags":[%q]}`, tag)
		}
	}
	wants := func(tag string) {
		t.Helper()
		if got := body(t, w.ask(t, gcpClient, "GET /v2/a/tags/list")); !strings.Contains(got, tag) {
			t.Errorf("%s, want %s", got, tag)
		}
	}
	list(w.us, "new", 200)
	list(w.eu, "old", 200)
	wants("old")
	list(w.eu, "old", 500)
	wants("new")
	list(w.eu, "old", 200)
	wants("new")
	w.clock.pass(time.Minute)
	wants("new")
	w.clock.pass(10 * time.Minute)
	wants("old")
}

// A client that polls all the time comes back to the replica when the replica has what canonical has, and not earlier.
func TestWhoPollsComesBack(t *testing.T) {
	w := newStayWorld(t)
	var old atomic.Bool
	stands := func(digest func() string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, absent) {
				rw.WriteHeader(http.StatusNotFound)
				return
			}
			rw.Header().Set("Docker-Content-Digest", digest())
		}
	}
	w.us.say(stands(func() string { return "sha256:new" }))
	w.eu.say(stands(func() string {
		if old.Load() {
			return "sha256:old"
		}
		return "sha256:new"
	}))
	old.Store(true)
	const head = "HEAD /v2/a/manifests/v1"
	wiring := w.server.wiring.Load()
	pollFor := func(d time.Duration) (back time.Duration) {
		for ; d > 0; d -= time.Minute {
			w.clock.pass(time.Minute)
			if strings.HasPrefix(w.ask(t, gcpClient, head).Header.Get("Location"), w.eu.URL) {
				return d
			}
			// The background comparison must end before the next poll.
			q := &request{Request: mustParse(t, "/v2/a/manifests/v1"), client: route.Client{Addr: mustAddr(gcpClient)}}
			p := w.server.plan(wiring, q, wiring.index["eu"])
			poll(t, "the comparison ends", func() bool {
				c := w.server.stays.comparison(p.tag ^ p.origin)
				return c.asked >= c.tried
			})
		}
		return 0
	}
	w.away(true)
	w.polls(t, gcpClient, head, w.us.URL)
	w.away(false)
	if back := pollFor(time.Hour); back > 0 {
		t.Fatalf("sent to a replica that is behind, %s before the end", back)
	}
	old.Store(false)
	if back := pollFor(3 * time.Minute); back == 0 {
		t.Error("not sent to a replica that has caught up")
	}
	if n := strings.Count(strings.Join(w.us.requests(), "\n"), "HEAD"); n > 120 {
		t.Errorf("canonical was asked %d times in an hour", n)
	}
}
