package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/existence"
	"ociproxy/internal/set"
)

func redirectAll(rw http.ResponseWriter, r *http.Request) {
	http.Redirect(rw, r, "https://elsewhere.example"+r.URL.Path, http.StatusTemporaryRedirect)
}

func yesToAll(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Length", "1000") }

// The proxy believed a replica that redirected any blob for 24 hours. Its clients got 404 200 404 404 404 404.
func TestAReplicaThatRedirectsAnyBlob(t *testing.T) {
	w := newWorld(t)
	w.eu.say(redirectAll)
	for i := range 6 {
		w.wants(t, gcpClient, digestOf(i), w.us.URL, "a blob that the replica may not have")
	}
	w.wants(t, awsClient, digest, w.va.URL, "a client of a store")
	if got := testutil.ToFloat64(w.server.metrics.Checks.WithLabelValues("eu", existence.ResultDisbelieved)); got != 6 {
		t.Errorf("%v answers disbelieved, want 6", got)
	}
	if log := w.log.String(); strings.Count(log, "holds what cannot exist") != 1 || !strings.Contains(log, `"candidate":"eu"`) {
		t.Errorf("the log does not say it once: %s", log)
	}
	// A replica that redirects only what it has is used as before.
	w = newWorld(t)
	w.eu.say(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, absent) {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		redirectAll(rw, r)
	})
	for i := range 6 {
		w.wants(t, gcpClient, digestOf(i), w.eu.URL, "a blob that the replica has in storage behind it")
	}
	if n := strings.Count(strings.Join(w.eu.requests(), "\n"), absent); n != 1 {
		t.Errorf("asked %d times for what cannot exist, want once", n)
	}
}

// The proxy detects a candidate that answers 200 to everything before clients come, or within a second after.
func TestWhoSaysYesToAnything(t *testing.T) {
	for name, edit := range map[string][]string{"replica": nil, "store": {"serves: [aws]", "serves: [gcp]"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, edit...)
			w.eu.say(yesToAll)
			w.va.say(yesToAll)
			wiring := w.server.wiring.Load()
			w.server.warm(wiring) // as the server does every second
			poll(t, "both are disbelieved", func() bool { return strings.Count(w.log.String(), "holds what cannot exist") == 2 })
			w.wants(t, gcpClient, digest, w.us.URL, "a blob")
			if got := w.ask(t, gcpClient, "GET /v2/a/blobs/"+digestOf(1)).Header.Get("Location"); !strings.HasPrefix(got, w.us.URL) {
				t.Errorf("to %s", got)
			}
			w.eu.say(nil)
			w.va.say(nil)
			w.server.checker.Renew() // as a reload does
			poll(t, "both are believed", func() bool {
				w.server.warm(wiring)
				w.to(t, gcpClient, digestOf(2)) // a registry has to say yes to something first
				return strings.Count(w.log.String(), "believed again") == 2
			})
		})
	}
}

// If a store reports another size than several inventories do, it has something else under that name.
func TestAStoreWithTheWrongSize(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]")
	q := &request{Request: mustParse(t, "/v2/a/blobs/"+digest)}
	d := &decision{listing: listing{stores: set.Of(2, 3), size: 999}}
	q.client = w.server.wiring.Load().client(mustAddr(awsClient), w.server.wiring.Load().ranges.Locate(mustAddr(awsClient)))
	w.server.resolve(t.Context(), w.server.wiring.Load(), q, d)
	if got := w.server.wiring.Load().snapshot.Candidates[d.Candidate].Name; got != "us" {
		t.Errorf("to %s: it says 1000 bytes, and the inventories 999", got)
	}
}
