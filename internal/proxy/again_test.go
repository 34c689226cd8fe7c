package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/route"
)

// The proxy would believe for a day that a replica still has a manifest that it has lost, and for a minute for a tag.
// When a client comes back, the proxy asks the replica, and sends the client elsewhere only if the manifest is gone.
func TestAReplicaThatLosesManifests(t *testing.T) {
	for name, path := range map[string]string{"manifest": "/v2/a/manifests/" + digest, "tag": "/v2/a/manifests/v1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "place: gcp/europe-west1}\nstores", "place: gcp/europe-west1, lag: 0s}\nstores")
			to := func(method, client string) string {
				return w.ask(t, client, method+" "+path).Header.Get("Location")
			}
			for _, method := range []string{"HEAD", "GET", "GET", "GET"} {
				if got := to(method, gcpClient); !strings.HasPrefix(got, w.eu.URL) {
					t.Fatalf("%s to %s, want the replica, which has it", method, got)
				}
				w.server.again.looks.start = w.server.again.looks.start.Add(-11 * time.Second)
			}
			w.eu.say(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
			if got := to("GET", gcpNeighbour); !strings.HasPrefix(got, w.eu.URL) {
				t.Errorf("one that asks for the first time: to %s, want the replica: it has what is remembered", got)
			}
			if got := to("GET", gcpClient); !strings.HasPrefix(got, w.us.URL) {
				t.Errorf("one that comes back: to %s, want canonical", got)
			}
			if got := to("GET", gcpNeighbour); !strings.HasPrefix(got, w.us.URL) {
				t.Errorf("others then: to %s, want canonical", got)
			}
		})
	}
}

const gcpNeighbour = "198.51.100.77"

// However often clients come back, the proxy asks once in three seconds.
func TestThoseWhoPollCostLittle(t *testing.T) {
	w := newWorld(t)
	w.ask(t, gcpClient, "GET /v2/a/manifests/v1")
	before := len(w.eu.requests())
	for range 100 {
		w.ask(t, gcpClient, "GET /v2/a/manifests/v1")
	}
	if n := len(w.eu.requests()) - before; n > 1 {
		t.Errorf("asked %d times for 100 requests in a moment, want once", n)
	}
}

// Clients that come back are no reason to probe a replica that answers, because clients poll tags. The proxy probes at
// once a replica that does not answer, and a replica whose quota for our own requests is used up.
func TestWhoComesBackHasAReplicaProbed(t *testing.T) {
	const tag = "GET /v2/a/manifests/v1"
	for name, tt := range map[string]struct {
		edit []string
		down bool
		want bool
	}{
		"it answers":     {nil, false, false},
		"it is down":     {nil, true, true},
		"over its quota": {[]string{"place: gcp/europe-west1}\nstores", "place: gcp/europe-west1, maxRPS: 2}\nstores"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.edit...)
			wiring := w.server.wiring.Load()
			eu := wiring.index["eu"]
			w.server.again.asked(&request{get: true, Request: mustParse(t, "/v2/a/manifests/v1"), client: route.Client{Addr: mustAddr(gcpClient)}})
			if tt.down {
				w.ask(t, gcpNeighbour, tag) // the proxy remembers that the replica has it
				w.eu.say(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			}
			for range 100 {
				w.ask(t, gcpClient, tag)
			}
			if got := wiring.health.Suspected(eu); got != tt.want {
				t.Errorf("to be probed: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWhatWasAskedForLately(t *testing.T) {
	s := newAgain()
	ask := func(method, client, path string) bool {
		return s.asked(&request{get: method == "GET", Request: mustParse(t, path), client: route.Client{Addr: mustAddr(client)}})
	}
	const tag, other = "/v2/a/manifests/v1", "/v2/a/manifests/v2"
	for _, c := range []struct {
		method, client, path string
		again                bool
	}{
		{"HEAD", awsClient, tag, false},
		{"GET", awsClient, tag, false},
		{"GET", gcpClient, tag, false},
		{"GET", awsClient, other, false},
		{"GET", awsClient, "/v2/b/manifests/v1", false},
		{"GET", awsClient, "/v2/a/manifests/" + digest, false},
		{"GET", awsClient, tag, true},
		{"GET", awsClient, "/v2/a/manifests/" + digest, true},
		{"HEAD", awsClient, tag, true},
	} {
		if got := ask(c.method, c.client, c.path); got != c.again {
			t.Errorf("%s %s by %s: again %v, want %v", c.method, c.path, c.client, got, c.again)
		}
	}
	s.asks.start = s.asks.start.Add(-11 * time.Minute)
	if ask("GET", awsClient, tag) {
		t.Error("remembered for too long")
	}
}
