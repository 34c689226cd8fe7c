package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/publication"
)

// layer is what every candidate of an overridden world holds.
var layer = bytes.Repeat([]byte("layer "), 5000)

var layerDigest = func() string { s := sha256.Sum256(layer); return "sha256:" + hex.EncodeToString(s[:]) }()

// overriddenWorld has candidates in memory, and a server that follows overrides and probes, in virtual time.
type overriddenWorld struct {
	*Server
	t      *testing.T
	log    lockedBuffer
	reload chan struct{}
	begun  time.Time

	mu    sync.Mutex
	fault map[string]string // by host
	tags  map[string]string // digests by host and tag
	asked map[string]int    // by method, host and path
}

func (w *overriddenWorld) set(host, fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault[host] = fault
}

// RoundTrip answers as the host of the URL.
func (w *overriddenWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	fault, tagged := w.fault[r.URL.Host], w.tags[r.URL.Host+" "+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	w.asked[r.Method+" "+r.URL.Host+r.URL.Path]++
	w.mu.Unlock()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	rec := httptest.NewRecorder()
	open := strings.HasSuffix(r.Header.Get("Range"), "-")
	switch {
	case fault == "hung":
		<-r.Context().Done()
		return nil, r.Context().Err()
	case fault == "500", fault == "no resumes" && open:
		rec.WriteHeader(http.StatusInternalServerError)
	case fault == "401":
		rec.WriteHeader(http.StatusUnauthorized)
	case strings.Contains(r.URL.Path, existence.Nowhere) && fault != "yes to all":
		rec.WriteHeader(http.StatusNotFound)
	case strings.Contains(r.URL.Path, "/manifests/"):
		if fault != "no digest" {
			rec.Header().Set("Docker-Content-Digest", tagged)
		}
		if tagged == "" {
			rec.WriteHeader(http.StatusNotFound)
		}
	default:
		http.ServeContent(rec, r, "", time.Time{}, bytes.NewReader(layer))
	}
	resp := rec.Result()
	resp.Request = r
	if n := resp.Header.Get("Content-Length"); n != "" {
		fmt.Sscan(n, &resp.ContentLength)
	}
	return resp, nil
}

// overridden runs a test with such a world. It is at noon, UTC, of 2000-01-01.
func overridden(t *testing.T, o *publication.Overrides, test func(*testing.T, *overriddenWorld), edit ...string) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.NewReplacer(append(edit, `"US"`, "http://us.example", `"EU"`, "http://eu.example", "VA/", "http://va.example/", "CDN/", "http://cdn.example/",
			"checkTimeout: 5s", "checkTimeout: 1s", "serves: [internet]", "serves: [all]")...).Replace(yaml)
		cfg, err := config.Parse("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		w := &overriddenWorld{t: t, reload: make(chan struct{}), begun: time.Now(), fault: map[string]string{}, tags: map[string]string{}, asked: map[string]int{}}
		w.Server, err = New(Options{Config: cfg, Overrides: o, Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Client: &http.Client{Transport: w}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var g sync.WaitGroup
		g.Go(func() { _ = w.watch(ctx, w.reload) })
		g.Go(func() { w.health.Run(ctx) })
		test(t, w)
		stop()
		g.Wait()
		<-time.After(20 * time.Second) // checks that are running end
		w.Close()
	})
}

// pass lets virtual time pass.
func (w *overriddenWorld) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *overriddenWorld) override(list ...publication.Override) {
	w.SetOverrides(&publication.Overrides{Overrides: list})
	synctest.Wait()
}

// answer is what a client gets.
func (w *overriddenWorld) answer(method, client, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", client)
	rw := httptest.NewRecorder()
	w.Handler().ServeHTTP(rw, r)
	return rw
}

// to is the candidate that a client of a new network in Virginia is sent to for the layer.
func (w *overriddenWorld) to() string {
	at, _, _ := strings.Cut(strings.TrimPrefix(w.answer("GET", another(), "/v2/a/blobs/"+layerDigest).Header().Get("Location"), "http://"), ".")
	return at
}

// share is how many of 1000 networks are sent to va.
func (w *overriddenWorld) share() (n int) {
	for i := range 1000 {
		client := fmt.Sprintf("2001:db8:%x::1", 0x2000+i)
		if strings.HasPrefix(w.answer("HEAD", client, "/v2/a/blobs/"+layerDigest).Header().Get("Location"), "http://va.example/") {
			n++
		}
	}
	return n
}

// metric returns the lines of /metrics that begin with a text.
func (w *overriddenWorld) metric(begin string) string {
	rw := httptest.NewRecorder()
	w.AdminHandler().ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil))
	var out []string
	for line := range strings.Lines(rw.Body.String()) {
		if strings.HasPrefix(line, begin) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

func (w *overriddenWorld) explain(client, path string) *Explanation {
	e, err := w.Explain(w.t.Context(), netip.MustParseAddr(client), path)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *overriddenWorld) verdict(name string) string {
	for _, c := range w.explain(awsClient, "").Candidates {
		if c.Name == name {
			return c.Verdict
		}
	}
	return ""
}

// offVA switches va off for two hours.
func offVA() publication.Override {
	now := time.Now()
	return publication.Override{ID: "x1", Action: publication.Off, Candidate: "va", Why: "dead bucket", By: "alice", From: now, Until: now.Add(2 * time.Hour)}
}

// A store that an override switches off gets no client, at once and also after a reload. It comes back only when its
// probes are good, ranges and resumes included, and then in steps. A failure takes it back.
func TestStoreOff(t *testing.T) {
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		w.pass(time.Second)
		if got := w.share(); got != 1000 {
			t.Fatalf("%d of 1000 to va before", got)
		}
		w.override(offVA())
		const off = "off until 2000-01-01T02:00:01Z by alice: dead bucket (override x1)"
		if got := w.share(); got != 0 || w.verdict("va") != off {
			t.Errorf("off: %d of 1000 to va, verdict %q, want %q", got, w.verdict("va"), off)
		}
		if e := w.explain(awsClient, ""); len(e.Overrides) != 1 || !strings.Contains(strings.Join(e.Notes, "\n"), "va is "+off) {
			t.Errorf("explain: %+v", e)
		}
		rw := httptest.NewRecorder()
		w.AdminHandler().ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/explain?format=text&ip="+awsClient, nil))
		for _, line := range []string{"note     va is " + off + "\n", off + " ("} {
			if !strings.Contains(rw.Body.String(), line) {
				t.Errorf("explain as text has no %q:\n%s", line, rw.Body)
			}
		}
		if got, want := w.metric("ociproxy_override"), `ociproxy_override_info{action="off",by="alice",candidate="va",id="x1"} 1`+"\n"+
			`ociproxy_override_until_timestamp_seconds{id="x1"} 9.46692001e+08`; got != want {
			t.Errorf("metrics\n%s\nwant\n%s", got, want)
		}
		w.reload <- struct{}{}
		synctest.Wait()
		if got := w.to(); got != "cdn" {
			t.Errorf("after a reload: to %s", got)
		}
		w.pass(89 * time.Minute)
		if strings.Contains(w.log.String(), "ends soon") {
			t.Error("announced too early")
		}
		w.pass(4 * time.Minute)
		if n := strings.Count(w.log.String(), `"an override ends soon`); n != 1 {
			t.Errorf("announced %d times", n)
		}
		w.set("va.example", "no resumes")
		w.pass(27*time.Minute - time.Second)
		if got := w.to(); got != "cdn" {
			t.Errorf("before the end: to %s", got)
		}
		w.pass(5 * time.Minute) // it has ended, and the store fails resumes
		if got := w.share(); got != 0 || w.metric("ociproxy_candidate_returning") != `ociproxy_candidate_returning{candidate="va"} 0` {
			t.Errorf("with a store that fails resumes: %d of 1000, %s", got, w.metric("ociproxy_candidate_returning"))
		}
		if got := w.verdict("va"); !strings.Contains(got, "0 % of the client networks") {
			t.Errorf("verdict %q", got)
		}
		w.set("va.example", "")
		for _, percent := range []int{1, 5, 25} {
			w.until(percent)
			if n := w.share(); n < percent*10*6/10-5 || n > percent*10*14/10+5 {
				t.Errorf("%d of 1000 networks at %d %%", n, percent)
			}
		}
		w.set("va.example", "no resumes") // a range and the whole object are good
		w.until(0)
		if n := w.share(); n != 0 {
			t.Errorf("%d of 1000 networks after a failure", n)
		}
		if !strings.Contains(w.log.String(), "fails again") {
			t.Errorf("no line about the failure:\n%s", w.log.String())
		}
		w.set("va.example", "")
		begin := time.Now()
		w.until(100)
		if took := time.Since(begin); took < 4*time.Minute || took > 12*time.Minute {
			t.Errorf("the return took %v", took)
		}
		if n := w.share(); n != 1000 || w.metric("ociproxy_candidate_returning") != "" || w.metric("ociproxy_override") != "" {
			t.Errorf("%d of 1000 to va at the end; %s", n, w.metric("ociproxy_"))
		}
	})
}

// until waits until va has a share, at most ten minutes. 100 means that it does not come back any more.
func (w *overriddenWorld) until(percent int) {
	w.t.Helper()
	for range 600 {
		is := 100
		for _, b := range *w.returning.Load() {
			is = b.Percent
		}
		if is == percent {
			return
		}
		w.pass(time.Second)
	}
	w.t.Fatalf("never at %d %%; log:\n%s", percent, w.log.String())
}

// A replica that was drained comes back in steps too, although its config knows no rollout.
func TestReplicaDrained(t *testing.T) {
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		w.mu.Lock()
		w.tags["us.example v1"], w.tags["eu.example v1"] = digest, digest
		w.mu.Unlock()
		at := func(i int) string {
			return w.answer("GET", fmt.Sprintf("198.51.100.%d", i), "/v2/a/manifests/v1").Header().Get("Location")
		}
		w.pass(time.Second)
		o := offVA()
		o.Action, o.Candidate = publication.Drain, "eu"
		if !strings.HasPrefix(at(1), "http://eu.") {
			t.Fatal(at(1))
		}
		w.override(o)
		if !strings.HasPrefix(at(2), "http://us.") {
			t.Errorf("drained: %s", at(2))
		}
		w.override() // `store on`
		w.until(1)
		w.until(50)
		w.until(100)
		if !strings.HasPrefix(at(3), "http://eu.") {
			t.Errorf("back: %s", at(3))
		}
	}, "limits:", "log: {requests: 0}\nlimits:")
}

// Overrides of the start hold from the first request. What does not fit is refused alone, and shown.
func TestOverridesFromTheStart(t *testing.T) {
	gone, canonical := offVA(), offVA()
	gone.ID, gone.Candidate = "x2", "gone"
	canonical.ID, canonical.Candidate = "x3", "us"
	pin := publication.Override{ID: "p1", Action: publication.Pin, CIDR: "192.0.2.0/28", To: []string{"eu", "gone"}, Why: "test", By: "bob"}
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of the virtual clock
	list := []publication.Override{offVA(), gone, canonical, pin}
	for i := range list {
		list[i].From, list[i].Until = begin, begin.Add(time.Hour)
	}
	o := &publication.Overrides{Meta: publication.Meta{Generation: 7, SignedAt: begin}, Overrides: list}
	overridden(t, o, func(t *testing.T, w *overriddenWorld) {
		if got := w.to(); got != "cdn" {
			t.Errorf("to %s", got)
		}
		if got := w.answer("GET", "192.0.2.7", "/v2/a/blobs/"+layerDigest).Header().Get("Location"); !strings.HasPrefix(got, "http://eu.") {
			t.Errorf("the pinned client: to %s", got)
		}
		if got := w.answer("GET", "192.0.2.70", "/v2/a/manifests/sha256:"+strings.Repeat("a", 64)).Header().Get("Location"); !strings.HasPrefix(got, "http://us.") {
			t.Errorf("canonical: to %s", got)
		}
		if got, want := w.metric("ociproxy_override_refused"), "ociproxy_override_refused{id=\"p1\"} 1\nociproxy_override_refused{id=\"x2\"} 1\nociproxy_override_refused{id=\"x3\"} 1"; got != want {
			t.Errorf("refused\n%s\nwant\n%s", got, want)
		}
		w.pass(10 * time.Minute)
		for _, text := range []string{`no store or upstream \"gone\""`, "us is the canonical upstream", "gone does not exist"} {
			if n := strings.Count(strings.ReplaceAll(w.log.String(), `\\"`, `\"`), text); n != 1 {
				t.Errorf("%d lines about %s:\n%s", n, text, w.log.String())
			}
		}
		rw := httptest.NewRecorder()
		w.AdminHandler().ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/overrides", nil))
		var shown ShownOverrides
		if err := json.Unmarshal(rw.Body.Bytes(), &shown); err != nil || shown.Generation != 7 || len(shown.Overrides) != 4 ||
			shown.Overrides[0].State != "holds" || shown.Overrides[1].State != "refused" {
			t.Errorf("/overrides: %v\n%s", err, rw.Body)
		}
		w.pass(51 * time.Minute) // they end together
		if got := w.metric("ociproxy_override"); got != "" {
			t.Errorf("after the end: %s", got)
		}
		w.until(100)
		if got := w.to(); got != "va" {
			t.Errorf("at the end: to %s", got)
		}
	})
}

// Overrides do not wait until the files that the config names are repaired: what was read with the config stays in use.
func TestOverridesWithBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	matrix, signed, cert := dir+"/latency.csv", dir+"/signed.json", dir+"/cert.pem"
	write(t, matrix, "aws/us-east-1,gcp/us-east4,3.5\n")
	write(t, signed, envelopeOf("e30="))
	certificateFor(t, dir, 1)
	overridden(t, nil, func(t *testing.T, w *overriddenWorld) {
		for _, file := range []string{matrix, signed, cert} {
			write(t, file, "nonsense")
		}
		w.override(offVA())
		if got := w.to(); got != "cdn" {
			t.Errorf("to %s:\n%s", got, w.log.String())
		}
		if is := w.wiring.Load().named; len(is.latency) != 1 || is.signed == nil || is.certs == nil {
			t.Errorf("what the files held is gone: %+v", is)
		}
	}, "deny:", "route: {latency: "+matrix+"}\nendpoints: {signed: "+signed+"}\ntls: {cert: "+cert+", key: "+dir+"/key.pem}\ndeny:")
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
