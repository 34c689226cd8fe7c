package health

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/wait"
)

// A client that asks for made-up things decides what a registry is probed with. The registry must still be judged.
func TestMadeUpSamplesDoNotHideADeadRegistry(t *testing.T) {
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/made-up") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer dead.Close()
	well := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer well.Close()
	d, err := oci.ParseDigest("sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	m := New(Options{Busy: 20 * time.Millisecond, Idle: 20 * time.Millisecond, Confirm: 10 * time.Millisecond, First: 10 * time.Millisecond})
	view := m.SetTargets([]Target{
		{Name: "dead", Origin: "dead", Ping: dead.URL + "/v2/", Sample: func(int64) (Object, bool) {
			return Object{URL: dead.URL + "/made-up", Digest: d, Size: -1, Whole: true}, true
		}},
		{Name: "a", Origin: "a", Ping: well.URL + "/v2/"},
		{Name: "b", Origin: "b", Ping: well.URL + "/v2/"},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	defer func() { cancel(); <-done }()
	limited, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	gone := func() bool { usable := view.Usable(); return !usable.Has(0) }
	if wait.Until(limited, 5*time.Millisecond, gone) != nil {
		t.Fatal("the dead registry is still in service")
	}
}

// The answer of a proxy on the way does not count as the store's.
func TestProxyIsNamed(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer proxy.Close()
	m := New(Options{})
	q := &query{kind: ping, object: Object{URL: proxy.URL}}
	err := m.ask(t.Context(), &Target{Name: "s"}, q)
	if err == nil || !strings.Contains(err.Error(), "the proxy for "+strings.TrimPrefix(proxy.URL, "http://")) || !strings.Contains(err.Error(), "HTTP_PROXY") {
		t.Errorf("%v: want the proxy in it", err)
	}
}
