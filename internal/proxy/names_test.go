package proxy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ociproxy/internal/config"
)

// named returns the config of a world with names.
func (w *testWorld) named(t *testing.T, names string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(w.config("deny:", "names: "+names+"\ndeny:")))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A reload grants no burst, and does not give two names the same limit.
func TestLimitsOfNamesAtAReload(t *testing.T) {
	w := newWorld(t)
	build := func(old *wiring, names string) *wiring {
		t.Helper()
		next, err := w.server.wire(w.named(t, names), old)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	limit := func(w *wiring, host string) any { return w.name(host).limit }
	both := build(nil, "[{hosts: [a.example, b.example], maxRPS: 5}]")
	apart := build(both, "[{hosts: [a.example], maxRPS: 5}, {hosts: [b.example], maxRPS: 5}]")
	if limit(apart, "a.example") != limit(both, "a.example") {
		t.Error("the limit of a name that stays is a new one")
	}
	if limit(apart, "a.example") == limit(apart, "b.example") {
		t.Error("two names have one limit")
	}
	again := build(apart, "[{hosts: [c.example, b.example], maxRPS: 5}]")
	if limit(again, "c.example") != limit(apart, "b.example") {
		t.Error("the limit of a name with one more host is a new one")
	}
	if limit(build(again, "[{hosts: [b.example], maxRPS: 6}]"), "b.example") == limit(again, "b.example") {
		t.Error("the limit is the old one, the rate is not")
	}
}

// Refused requests of a name are counted under its first host, until a reload removes the name.
func TestLimitedNamesAreCounted(t *testing.T) {
	w := newWorld(t)
	publish := func(names string) {
		t.Helper()
		next, err := w.server.wire(w.named(t, names), w.server.wiring.Load())
		if err == nil {
			err = w.server.publish(next)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	publish("[{hosts: [d.example, e.example], role: direct, candidates: [us], maxRPS: 2}]")
	if n := testutil.ToFloat64(w.server.metrics.NameLimited("d.example")); n != 0 {
		t.Errorf("%v before the first", n)
	}
	h := w.server.Handler()
	for range 5 {
		r := getAs(another(), "/v2/a/blobs/"+digest)
		r.Host = "e.example"
		h.ServeHTTP(&recorder{header: http.Header{}}, r)
	}
	if n := testutil.ToFloat64(w.server.metrics.NameLimited("d.example")); n != 3 {
		t.Errorf("%v were too many, want 3", n)
	}
	publish("[{hosts: [f.example], role: direct, candidates: [us], maxRPS: 2}]")
	if n := testutil.ToFloat64(w.server.metrics.NameLimited("d.example")); n != 0 {
		t.Errorf("%v of a name that is no more", n)
	}
}

// The operators' port explains what a name's clients get.
func TestExplainOfAName(t *testing.T) {
	w := newWorld(t, "serves: [internet]", "serves: [all]", "deny:",
		"names: [{hosts: [direct.example], role: direct, candidates: [us]}]\ndeny:")
	admin := w.server.AdminHandler()
	for host, want := range map[string]string{"": "va", "direct.example": "us", "Direct.example.:80": "us", "elsewhere.example": "va"} {
		for _, path := range []string{"", "/v2/a/blobs/" + digest} {
			rw := httptest.NewRecorder()
			q := url.Values{"ip": {another()}, "host": {host}, "path": {path}}
			admin.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/explain?"+q.Encode(), http.NoBody))
			var e Explanation
			if err := json.Unmarshal(rw.Body.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			if e.Answer.Candidate != want || e.Host != host || (len(e.Notes) == 1) != (host != "") {
				t.Errorf("%q %q: %s, %+v", host, path, e.Answer.Candidate, e.Notes)
			}
		}
	}
}
