package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/config"
)

// A store gets traffic from its announced date until its announced end, to the second, without a reload. Explanations
// say why it gets none before.
func TestAnnouncedDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock begins at 2000-01-01
		stores := &headStores{takes: func() time.Duration { return time.Millisecond }}
		text := strings.NewReplacer(`"US"`, "http://us.example", `"EU"`, "http://eu.example", "VA/", "http://va.example/", "CDN/", "http://cdn.example/",
			"serves: [aws]", "serves: [aws], announce: {from: 2000-01-03, until: 2000-01-10T12:00:30Z}",
			"serves: [internet]", "serves: [all]").Replace(yaml)
		cfg, err := config.Parse("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var log lockedBuffer
		s, err := New(Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(&log, nil)), Client: &http.Client{Transport: stores}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.watch(ctx, nil) }()
		begun := time.Now()
		n := 0
		for _, step := range []struct {
			at   time.Duration
			want string
			why  string
		}{
			{time.Hour, "cdn", "announced for 2000-01-03: no traffic before"},
			{48*time.Hour - time.Second, "cdn", "announced for 2000-01-03: no traffic before"},
			{48*time.Hour + time.Second, "va", "taken: the lowest score"},
			{9*24*time.Hour + 12*time.Hour + 29*time.Second, "va", "taken: the lowest score"},
			{9*24*time.Hour + 12*time.Hour + 31*time.Second, "cdn", "announced until 2000-01-10T12:00:30Z: no new traffic since"},
			{1000 * time.Hour, "cdn", "announced until 2000-01-10T12:00:30Z: no new traffic since"},
		} {
			<-time.After(time.Until(begun.Add(step.at)))
			synctest.Wait()
			n++
			r := httptest.NewRequest(http.MethodGet, "/v2/a/blobs/"+digestOf(n), nil)
			r.RemoteAddr = "127.0.0.1:4711"
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n))
			rw := httptest.NewRecorder()
			s.Handler().ServeHTTP(rw, r)
			if to := rw.Header().Get("Location"); !strings.HasPrefix(to, "http://"+step.want+".example/") {
				t.Errorf("after %s: to %s, want %s", step.at, to, step.want)
			}
			e, err := s.Explain(t.Context(), netip.MustParseAddr("192.0.2.9"), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range e.Candidates {
				if c.Name == "va" && c.Verdict != step.why {
					t.Errorf("after %s: explain says %q, want %q", step.at, c.Verdict, step.why)
				}
			}
		}
		for _, want := range []string{`candidates="[va: filling → active]"`, `candidates="[va: active → draining]"`} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log lacks %s:\n%s", want, log.String())
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-time.After(20 * time.Second) // checks that are running end
		s.Close()
	})
}

// An announced date does not wait until the files that the config names are repaired.
func TestAnnouncedDateWithABrokenFile(t *testing.T) {
	file := t.TempDir() + "/signed.json"
	if err := os.WriteFile(file, []byte(envelopeOf("e30=")), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		stores := &headStores{takes: func() time.Duration { return time.Millisecond }}
		text := strings.NewReplacer(`"US"`, "http://us.example", `"EU"`, "http://eu.example", "VA/", "http://va.example/", "CDN/", "http://cdn.example/",
			"serves: [aws]", "serves: [aws], announce: {from: 2000-01-02}", "deny:", "endpoints: {signed: '"+file+"'}\ndeny:").Replace(yaml)
		cfg, err := config.Parse("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var log lockedBuffer
		s, err := New(Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(&log, nil)), Client: &http.Client{Transport: stores}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.watch(ctx, nil) }()
		active := func() bool { return s.wiring.Load().snapshot.Candidates[0].Active }
		if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		<-time.After(24*time.Hour - time.Second)
		if active() {
			t.Error("active before the date")
		}
		<-time.After(2 * time.Second)
		if !active() {
			t.Errorf("not active on the date:\n%s", log.String())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
