package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"ociproxy/test/proxy"
)

// at returns a strike that makes the named gate misbehave.
func at(name string, f misbehaviour) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) { w.gates[name].strike(f) }
}

// toxic returns a strike that adds a toxic to the TCP proxy.
func toxic(name, json string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) { w.gates[name].toxic(t, json) }
}

// hang returns a strike after which the gate accepts connections, but sends nothing.
func hang(name string) func(*testing.T, *world) {
	return then(at(name, misbehaviour{answer: mute}), toxic(name, `{"type": "timeout", "attributes": {"timeout": 0}}`))
}

// resumed marks a request whose Range header was removed.
const resumed = "X-Resumed"

// defaultPace removes the health stanza, so that the proxy probes at its default pace.
func defaultPace(_ *testing.T, _ *world, c proxy.Config) { delete(c, "health") }

func storeFaults() []fault {
	return []fault{
		{name: "store down", strike: stop(storeUS), sees: ejected(storeUS), runtime: true},
		{name: "store comes back", strike: func(t *testing.T, w *world) {
			g := w.gates[storeUS]
			g.strike(misbehaviour{answer: status(500)})
			w.poll(t, "ejected", ejected(storeUS))
			g.heal()
		}, sees: all(inService(storeUS), func(w *world, m metrics) error {
			// and the proxy sends clients there again
			return m.want(0, 0, "ociproxy_inventory_failing", `candidate="`+storeUS+`"`)
		})},
		// Half a minute after the last probe, a client is the first to notice. When it asks again, the proxy sends it
		// elsewhere.
		{name: "store down, default pace", options: options{configure: defaultPace}, strike: stop(storeUS), sees: ejected(storeUS)},
		{name: "store hung", impatient: true, strike: hang(storeUS), sees: ejected(storeUS)},
		// Bytes arrive all the time, so that no client gives up, but too few. Probes of small objects pass, so it may
		// take long until three in a row fail.
		{name: "store slow", options: options{sizes: []int64{200 << 10, 200 << 10}},
			strike: toxic(storeUS, `{"type": "bandwidth", "attributes": {"rate": 20}}`),
			sees:   rises("ociproxy_health_probes_total", `candidate="`+storeUS+`"`, `result="failed"`)},
		// One layer is large enough that containerd fetches it in parallel parts.
		{name: "store cuts", options: options{sizes: []int64{12 << 10, 70 << 10, 3 << 20}}, strike: at(storeUS, misbehaviour{when: isBlob, response: func(r *http.Response) {
			cut(r, rand.Int64N(max(1, r.ContentLength)))
		}}), sees: ejected(storeUS), runtime: true},
		{name: "store resets", strike: toxic(storeUS, `{"type": "reset_peer", "attributes": {"timeout": 0}}`), sees: ejected(storeUS), runtime: true},
		{name: "store flaps", strike: func(_ *testing.T, w *world) {
			start := time.Now()
			w.gates[storeUS].strike(misbehaviour{
				when:   func(*http.Request) bool { return time.Since(start)/(3*time.Second)%2 == 0 },
				answer: hangUp,
			})
		}, lasts: 12 * time.Second},
		{name: "store answers 500", strike: at(storeUS, misbehaviour{answer: status(500)}), sees: ejected(storeUS), runtime: true},
		{name: "store answers 403", strike: at(storeUS, misbehaviour{answer: status(403)}), sees: notBelieved(storeUS), runtime: true},
		{name: "store answers 429", strike: at(storeUS, misbehaviour{when: isBlob, answer: status(429)}), sees: rises("ociproxy_health_probes_total", `candidate="`+storeUS+`"`, `result="neutral"`)},
		{name: "store sends wrong bytes", strike: at(storeUS, misbehaviour{when: isBlob, response: flip}), sees: ejected(storeUS), runtime: true},
		{name: "store sends HTML with 200", strike: at(storeUS, misbehaviour{answer: page}), sees: ejected(storeUS)},
		{name: "store answers 200 to Range", strike: at(storeUS, misbehaviour{when: isBlob, request: func(r *http.Request) {
			if r.Header.Get("Range") != "" {
				r.Header.Del("Range")
				r.Header.Set(resumed, "yes")
			}
		}, response: func(r *http.Response) {
			if r.Request.Header.Get(resumed) == "" {
				cut(r, r.ContentLength/2) // so that clients resume
			}
		}}), sees: ejected(storeUS)},
		{name: "store sends wrong Content-Range", strike: at(storeUS, misbehaviour{when: isBlob, response: func(r *http.Response) {
			if r.StatusCode == http.StatusPartialContent {
				r.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", r.ContentLength-1, r.ContentLength+4711))
			} else {
				cut(r, r.ContentLength/2)
			}
		}}), sees: ejected(storeUS)},
	}
}
