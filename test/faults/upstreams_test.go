package faults

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func stop(names ...string) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) {
		for _, name := range names {
			w.gates[name].tcp.Stop()
		}
	}
}

func isPath(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}

const latency = `{"type": "latency", "attributes": {"latency": 1500}}`

func upstreamFaults() []fault {
	certs, names := newCertificates(), &nameserver{}
	return []fault{
		{name: "replica upstream down", strike: stop(replica), sees: ejected(replica), runtime: true},
		{name: "replica upstream down, default pace", options: options{configure: defaultPace}, strike: stop(replica), sees: ejected(replica)},
		{name: "replica upstream slow", strike: toxic(replica, latency),
			sees: rises("ociproxy_existence_check_seconds_sum")},
		{name: "replica upstream hung", impatient: true, strike: hang(replica), sees: ejected(replica)},
		{name: "replica upstream answers 500", strike: at(replica, misbehaviour{answer: status(500)}), sees: ejected(replica)},
		{name: "replica upstream incomplete", options: options{prepare: func(t *testing.T, w *world) {
			w.upstreams[replica].Lose(t, upstreamPrefix+"/"+w.rare(), w.images[w.rare()].Arch["amd64"].Blobs[0].Digest)
		}}, sees: rises("ociproxy_existence_checks_total", `candidate="`+replica+`"`, `result="absent"`), unnoticed: true},
		{name: "replica upstream loses blobs", strike: func(t *testing.T, w *world) {
			w.upstreams[replica].Lose(t, upstreamPrefix+"/"+w.rare(), w.images[w.rare()].Arch["amd64"].Blobs[1].Digest)
		}, sees: rises("ociproxy_existence_checks_total", `candidate="`+replica+`"`, `result="absent"`)},
		{name: "replica upstream loses manifests", strike: at(replica, misbehaviour{when: isPath("/manifests/sha256:"), answer: status(404)}),
			sees: rises("ociproxy_existence_checks_total", `candidate="`+replica+`"`, `result="absent"`)},
		{name: "replica upstream loses tags", strike: at(replica, misbehaviour{when: isPath("/manifests/v1"), answer: status(404)}),
			sees: rises("ociproxy_existence_checks_total", `candidate="`+replica+`"`, `result="absent"`)},
		{name: "canonical slow", strike: toxic(canonical, latency), sees: rises("ociproxy_health_probe_seconds_sum")},
		{name: "canonical down", strike: stop(canonical), sees: ejected(canonical)},
		{name: "TLS certificate of a store expired", options: options{secure: certs, env: certs.env},
			strike: func(*testing.T, *world) { certs.expired.Store(true) }, sees: ejected(storeUS)},
		{name: "name of a store does not resolve",
			options: options{host: map[string]string{storeUS: failingName}, dial: names.dial, command: names.command,
				prepare: func(t *testing.T, _ *world) { names.serve(t) }},
			strike: func(*testing.T, *world) { names.fail.Store(true) }, sees: ejected(storeUS)},
		{name: "all stores but one down", strike: stop(storeUS, storeAz), sees: all(ejected(storeUS), ejected(storeAz), inService(storeEU))},
		{name: "all stores down", strike: stop(stores...), sees: all(ejected(storeUS), ejected(storeAz), ejected(storeEU))},
		{name: "own network cut", strike: func(_ *testing.T, w *world) {
			for _, g := range w.gates {
				g.strike(misbehaviour{when: byProxy, answer: hangUp})
			}
		}, sees: all(rises("ociproxy_health_frozen"), inService(storeUS)), lasts: 12 * time.Second, unnoticed: true},
	}
}
