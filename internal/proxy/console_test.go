package proxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/console/view"
)

// seen returns what the console shows of a candidate.
func (w *overriddenWorld) seen(name string) (*view.View, *view.Candidate) {
	v, err := w.recorder.View(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range v.Candidates {
		if v.Candidates[i].Name == name {
			return v, &v.Candidates[i]
		}
	}
	w.t.Fatalf("the console does not show %s", name)
	return nil, nil
}

// traffic is one client of Virginia every 5 s, and a sample, until the console shows va in a state.
func (w *overriddenWorld) traffic(least time.Duration, until view.State) (*view.View, *view.Candidate) {
	for begun := time.Now(); ; {
		w.to()
		w.pass(5 * time.Second)
		w.observe(time.Now())
		v, va := w.seen("va")
		if took := time.Since(begun); took >= least && va.State == until {
			return v, va
		} else if took > time.Hour {
			w.t.Fatalf("va is %s after an hour, want %s", va.State, until)
		}
	}
}

// TestConsoleShowsADeadStore: the console says which store is out, since when, why, where its traffic went and what that
// costs, and what it said of an override and of a store that is back.
func TestConsoleShowsADeadStore(t *testing.T) {
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		v, va := w.traffic(5*time.Minute, view.In)
		if va.Place != "aws/us-east-1" || !va.Spot.Known || va.Kind != "store" || va.Rate.Bytes < 5000 || va.Cents != 0 || len(v.Flows) != 1 ||
			v.Flows[0].From != "aws/us-east-1" || v.Serving.Requests < 0.1 || len(v.Problems) != 0 {
			t.Errorf("in service: %+v\n%+v\n%+v\n%+v", va, v.Flows, v.Serving, v.Problems)
		}
		if !v.Money.SavedKnown || v.Money.Hour != 0 || v.Money.Saved <= 0 {
			t.Errorf("money: %+v", v.Money)
		}
		w.set("va.example", "500")
		failed := time.Now()
		w.traffic(0, view.Out)
		v, va = w.traffic(time.Minute, view.Out)
		if va.Since.Before(failed) || va.Out != 1 || !strings.Contains(va.Why, "500") || v.Candidates[0].Name != "va" {
			t.Errorf("out: %+v", va)
		}
		if len(v.Problems) != 1 || v.Problems[0].Level != view.Bad || !v.Problems[0].Since.Equal(va.Since) {
			t.Errorf("problems: %+v", v.Problems)
		}
		instead := w.to()
		if len(va.Moved) != 1 || va.Moved[0].To != instead || va.Moved[0].Rate.Bytes < 5000 || va.Moved[0].Extra <= 0 ||
			va.Moved[0].Extra != va.Moved[0].Rate.Dollars {
			t.Errorf("moved %+v, clients are sent to %s", va.Moved, instead)
		}
		w.set("va.example", "")
		v, _ = w.traffic(0, view.In)
		if len(v.Events) != 2 || !strings.HasPrefix(v.Events[0].Text, "is back in service after ") || !strings.HasPrefix(v.Events[1].Text, "went out of service: ") {
			t.Errorf("events: %+v", v.Events)
		}
		w.override(offVA())
		v, va = w.traffic(0, view.Drained)
		if !strings.Contains(va.Why, "dead bucket") || len(va.Moved) == 0 || len(v.Problems) != 0 {
			t.Errorf("overridden: %+v, problems %+v", va, v.Problems)
		}
		said := fmt.Sprint(v.Events)
		if !strings.Contains(said, "va is off") || !strings.Contains(said, "was taken out") {
			t.Errorf("events: %s", said)
		}
	})
}

// TestConsoleShowsTheConfig: a refused config and old feeds are problems.
func TestConsoleShowsTheConfig(t *testing.T) {
	w := newWorld(t, "pages:", "admin: {listen: \"127.0.0.1:0\", docs: \"https://git.example/docs\"}\npages:")
	w.server.refused(fmt.Errorf("line 3: %s", "no such key"))
	w.server.observe(time.Now())
	v, err := w.server.recorder.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Docs != "https://git.example/docs/" || v.Config.Refused != "line 3: no such key" || v.Config.Loaded.IsZero() {
		t.Errorf("%+v, docs %s", v.Config, v.Docs)
	}
	if len(v.Problems) != 1 || v.Problems[0].Runbook != view.RunbookRefused {
		t.Errorf("%+v", v.Problems)
	}
}

// TestConsoleExplains checks the box, with and without a path.
func TestConsoleExplains(t *testing.T) {
	w := newWorld(t)
	for what, test := range map[string]struct{ query, want string }{
		"an address":        {"ip=" + awsClient, "307 va (reason: nearest)"},
		"a path below /v2/": {"ip=" + awsClient + "&path=secret/manifests/v1", "403"},
		"no address":        {"ip=x", "an IPv4 or IPv6 address is wanted"},
		"a bad path":        {"ip=" + awsClient + "&path=/v2/A/manifests/v1", "path"},
		"an image":          {"ip=" + awsClient + "&path=app:v1", "want /v2/NAME/manifests/TAG"},
	} {
		for _, page := range []string{"/console/explain?", "/?"} {
			r := httptest.NewRequest(http.MethodGet, page+test.query, http.NoBody)
			r.Header.Set("Accept", "text/html")
			rec := httptest.NewRecorder()
			w.server.AdminHandler().ServeHTTP(rec, r)
			if body := rec.Body.String(); rec.Code != 200 || !strings.Contains(body, test.want) {
				t.Errorf("%s at %s: %d, no %q in\n%s", what, page, rec.Code, test.want, body)
			}
		}
	}
}

// TestEveryAdminPageIsGuarded asks every page of the port as web pages of others could, and as operators do.
func TestEveryAdminPageIsGuarded(t *testing.T) {
	w := newWorld(t, "pages:", "admin: {listen: \"127.0.0.1:0\", hosts: [oci-proxy.monitoring.svc]}\npages:")
	_, admin := w.serve(t)
	patterns := w.server.adminPages().Patterns()
	if len(patterns) < 18 {
		t.Fatalf("only %q", patterns)
	}
	const browser = "User-Agent: Mozilla/5.0 (X11; Linux) Gecko"
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(strings.TrimSuffix(pattern, "{$}"), " ")
		ask := func(host string, headers ...string) int {
			status, _ := askPort(t, admin, method+" "+path+" HTTP/1.1\r\nHost: "+host, append(headers, "Accept: text/html", "Content-Length: 0")...)
			return status
		}
		for what, test := range map[string]struct {
			host   string
			header string
			want   int
		}{
			"DNS rebinding":     {"evil.example", browser, 421},
			"another origin":    {"127.0.0.1", "Origin: http://evil.example", 403},
			"another site":      {"localhost", "Sec-Fetch-Site: cross-site", 403},
			"another port":      {"localhost", "Sec-Fetch-Site: same-site", 403},
			"a sandboxed frame": {"127.0.0.1", "Origin: null", 403},
		} {
			if got := ask(test.host, test.header); got != test.want {
				t.Errorf("%s, %s: %d, want %d", pattern, what, got, test.want)
			}
		}
		if strings.HasSuffix(path, "/profile") || strings.HasSuffix(path, "/trace") {
			continue // they take their time
		}
		for _, host := range []string{"10.1.2.3:9090", "[2001:db8::7]:9090", "localhost:38127", "oci-proxy.monitoring.svc:9090"} {
			if got := ask(host, "Sec-Fetch-Site: same-origin"); got == 421 || got == 403 {
				t.Errorf("%s for %s: %d", pattern, host, got)
			}
		}
	}
	// The stores are not asked for a page that does not say that it is the console's.
	for _, path := range []string{"/?ip=192.0.2.1&path=a/manifests/v1", "/console/explain?ip=192.0.2.1&path=a/manifests/v1"} {
		if status, _ := askPort(t, admin, "GET "+path+" HTTP/1.1\r\nHost: 10.1.2.3", browser, "Accept: text/html"); status != 403 {
			t.Errorf("%s for an unknown page: %d, want 403", path, status)
		}
	}
}

// TestAThousandViewers: clients that look and do not read, do nothing, or ask for what is refused take nothing from
// Prometheus and the kubelet.
func TestAThousandViewers(t *testing.T) {
	w := newWorld(t)
	_, admin := w.serve(t)
	requests := []string{
		"GET /console/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", // and never reads
		"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\n\r\n",                       // stays
		"GET /console/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET /console/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", // sends no body
		"", // silent
	}
	for i := range 1000 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 7, byte(1+i%20))}}
		conn, err := d.DialContext(t.Context(), "tcp", admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = fmt.Fprint(conn, requests[i%len(requests)])
		if i%100 != 99 {
			continue
		}
		for _, path := range []string{"/metrics", "/-/ready"} {
			if status, text := askPort(t, admin, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1", "X: y"); status != 200 {
				t.Fatalf("%s beside %d viewers: %d %s", path, i+1, status, text)
			}
		}
	}
	if n := runtime.NumGoroutine(); n > 1000 {
		t.Errorf("%d goroutines", n)
	}
	conn, err := net.Dial("tcp", admin) // a browser of an operator
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, requests[1])
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 200 {
		t.Errorf("the console itself: %d", resp.StatusCode)
	}
}

// BenchmarkConsoleSample measures what the console costs every 5 s while nobody looks.
func BenchmarkConsoleSample(b *testing.B) {
	w := benchWorld(b)
	h := w.server.Handler()
	for range 100 {
		h.ServeHTTP(&discard{h: http.Header{}}, getAs(another(), "/v2/a/b/blobs/"+digest))
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(5 * time.Second)
		w.server.observe(now)
	}
}
