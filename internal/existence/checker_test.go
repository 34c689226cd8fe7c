package existence

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ociproxy/internal/oci"
	"ociproxy/internal/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = netip.MustParsePrefix("192.0.2.0/24")

type server struct {
	*httptest.Server
	hits atomic.Int64
}

func newOrigin(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	o := &server{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, Nowhere) {
			w.WriteHeader(http.StatusNotFound) // not counted: proof_test.go tests the requests that test belief
			return
		}
		o.hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func newChecker(t *testing.T, opt Options) *Checker {
	t.Helper()
	tr := &http.Transport{}
	opt.Client = &http.Client{Transport: tr}
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); tr.CloseIdleConnections() })
	return c
}

func target(o *server, ref string) Target {
	return Target{Key: Key{Origin: o.URL, Kind: oci.KindBlob, Ref: ref}, URL: o.URL + "/" + ref, Candidate: "s"}
}

// TestOtherSize: an object of a wrong size under the name is another object. The checker remembers it as a no.
func TestOtherSize(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "42") })
	c := newChecker(t, Options{Budget: 5 * time.Second})
	tg := target(o, "d")
	tg.Size = 43
	c.Check(t.Context(), home, []Target{tg})
	if got, ok := c.Lookup(tg.Key); !ok || got != (Answer{Size: -1}) {
		t.Errorf("%+v, %v", got, ok)
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    Answer
	}{
		{"200 with length", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "42") }, Answer{Held: true, Size: 42}},
		{"200 with the largest length", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "214748364800") }, Answer{Held: true, Size: oci.MaxBlob}},
		{"200 with a length that nothing has", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "214748364801") }, Answer{Held: true, Size: -1}},
		{"200 with a length beyond numbers", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9223372036854775807") }, Answer{Held: true, Size: -1}},
		{"an encoding is another thing", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") }, Answer{Size: -1}},
		{"aws-chunked is another thing", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "aws-chunked") }, Answer{Size: -1}},
		{"identity is no encoding", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			w.Header().Set("Content-Length", "9")
		}, Answer{Held: true, Size: 9}},
		{"unpacked by Google on the way", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Goog-Stored-Content-Encoding", "gzip")
		}, Answer{Size: -1}},
		{"404 is absent", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, Answer{Size: -1}},
		{"403 is absent, as S3 says it", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, Answer{Size: -1}},
		{"500 is a failure", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, Answer{Failed: true, Size: -1}},
		{"429 is a failure", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, Answer{Failed: true, Size: -1}},
		{"an HTML page is a failure", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}, Answer{Failed: true, Size: -1}},
		{"a redirect is no answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(302)
		}, Answer{Failed: true, Size: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOrigin(t, tt.handler)
			c := newChecker(t, Options{Budget: 5 * time.Second})
			tg := target(o, "d")
			c.Check(t.Context(), home, []Target{tg})
			if got, ok := c.Lookup(tg.Key); !ok || got != tt.want {
				t.Errorf("Lookup = %+v, %v, want %+v", got, ok, tt.want)
			}
			c.Check(t.Context(), home, []Target{tg})
			if n := o.hits.Load(); n != 1 {
				t.Errorf("%d requests, want 1: the answer is remembered", n)
			}
		})
	}
}

func TestARegistryThatRedirectsHoldsIt(t *testing.T) {
	elsewhere := newOrigin(t, func(http.ResponseWriter, *http.Request) {})
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	c := newChecker(t, Options{Budget: 5 * time.Second})
	tg := target(o, "d")
	tg.RedirectIsHeld = true
	c.Check(t.Context(), home, []Target{tg})
	if got, _ := c.Lookup(tg.Key); got != (Answer{Held: true, Size: -1}) {
		t.Errorf("Lookup = %+v", got)
	}
	if elsewhere.hits.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

// An origin that hangs leaves room for checks of other origins.
func TestAnOriginHasAShare(t *testing.T) {
	release := make(chan struct{})
	hung := newOrigin(t, func(http.ResponseWriter, *http.Request) { <-release })
	well := newOrigin(t, func(http.ResponseWriter, *http.Request) {})
	c := newChecker(t, Options{Budget: 5 * time.Millisecond, InFlight: 8, PerOrigin: 4})
	for i := range 20 {
		net := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24)
		c.Check(t.Context(), net, []Target{target(hung, fmt.Sprint(i))})
	}
	tg := target(well, "d")
	c.Check(t.Context(), home, []Target{tg})
	poll(t, func() bool { a, _ := c.Lookup(tg.Key); return a.Held })
	close(release)
}

// However many requests ask for the same thing, only a few wait for the answer.
func TestRechecksAreBounded(t *testing.T) {
	release := make(chan struct{})
	o := newOrigin(t, func(http.ResponseWriter, *http.Request) { <-release })
	c := newChecker(t, Options{InFlight: 4})
	var answers atomic.Int64
	for range 100 {
		c.Recheck(home, target(o, "d"), func(a Answer) {
			if a.Held {
				answers.Add(1)
			}
		})
	}
	if n := len(c.waiting); n != 4 {
		t.Errorf("%d wait, want 4", n)
	}
	close(release)
	poll(t, func() bool { return answers.Load() == 4 && len(c.waiting) == 0 })
	if n := o.hits.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestAnOriginHasARate(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	c := newChecker(t, Options{Budget: 5 * time.Second, OriginPerSecond: 2})
	for i := range 50 {
		net := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24)
		c.Check(t.Context(), net, []Target{target(o, fmt.Sprint(i))})
	}
	if n := o.hits.Load(); n < 4 || n > 20 {
		t.Errorf("%d checks of one origin, want a burst of about 4", n)
	}
}

func TestAClientHasARate(t *testing.T) {
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	c := newChecker(t, Options{Budget: 5 * time.Second, PerSecond: 1})
	for i := range 50 {
		c.Check(t.Context(), home, []Target{target(o, fmt.Sprint(i))})
	}
	if n := o.hits.Load(); n < 4 || n > 20 {
		t.Errorf("%d checks for one client, want a burst of about 4", n)
	}
}

func TestNothingOfTheClientIsForwarded(t *testing.T) {
	var got *http.Request
	o := newOrigin(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	c := newChecker(t, Options{Budget: 5 * time.Second})
	c.Check(t.Context(), home, []Target{target(o, "d")})
	if got.Method != http.MethodHead || got.Header.Get("Authorization") != "" || got.Header.Get("Accept") != Accept {
		t.Errorf("request = %s %v", got.Method, got.Header)
	}
}

func TestManyRequestsAreOneCheck(t *testing.T) {
	release := make(chan struct{})
	o := newOrigin(t, func(http.ResponseWriter, *http.Request) { <-release })
	c := newChecker(t, Options{Budget: 10 * time.Second})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { c.Check(t.Context(), home, []Target{target(o, "d")}) })
	}
	poll(t, func() bool { return o.hits.Load() == 1 })
	close(release)
	wg.Wait()
	if n := o.hits.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestBudgetEndsTheWaitNotTheCheck(t *testing.T) {
	release := make(chan struct{})
	o := newOrigin(t, func(http.ResponseWriter, *http.Request) { <-release })
	c := newChecker(t, Options{Budget: time.Millisecond})
	tg := target(o, "d")
	c.Check(t.Context(), home, []Target{tg})
	if _, ok := c.Lookup(tg.Key); ok {
		t.Fatal("an answer before the origin answered")
	}
	close(release)
	poll(t, func() bool { a, ok := c.Lookup(tg.Key); return ok && a.Held })
}

func TestTheBestThatHoldsEndsTheWait(t *testing.T) {
	release := make(chan struct{})
	slow := newOrigin(t, func(http.ResponseWriter, *http.Request) { <-release })
	fast := newOrigin(t, func(http.ResponseWriter, *http.Request) {})
	c := newChecker(t, Options{Budget: time.Hour})
	best, next := target(fast, "d"), target(slow, "d")
	c.Check(t.Context(), home, []Target{best, next}) // a wait for next would take an hour
	if a, _ := c.Lookup(best.Key); !a.Held {
		t.Error("the best is not known to hold it")
	}
	close(release)
	poll(t, func() bool { _, ok := c.Lookup(next.Key); return ok })
}

func TestFloodIsBounded(t *testing.T) {
	release := make(chan struct{})
	var under, most atomic.Int64
	o := newOrigin(t, func(http.ResponseWriter, *http.Request) {
		n := under.Add(1)
		defer under.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
	})
	var shed atomic.Int64
	c := newChecker(t, Options{Budget: time.Millisecond, InFlight: 8, PerClient: 3, Observe: func(_ Target, result string, _ Answer, _ time.Duration) {
		if result == ResultShed {
			shed.Add(1)
		}
	}})
	for i := range 100 { // one client
		c.Check(context.Background(), home, []Target{target(o, fmt.Sprint("one", i))})
	}
	poll(t, func() bool { return shed.Load() == 97 && under.Load() == 3 })
	for i := range 100 { // many clients
		net := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24)
		c.Check(context.Background(), net, []Target{target(o, fmt.Sprint("many", i))})
	}
	poll(t, func() bool { return shed.Load() == 97+95 && under.Load() == 8 })
	close(release)
	poll(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.shares) == 0 && len(c.slots) == 0 })
	if most.Load() > 8 {
		t.Errorf("%d checks under way at once, want at most 8", most.Load())
	}
}

func TestAnswersExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		blob, tag := Key{Origin: "s", Kind: oci.KindBlob, Ref: "d"}, Key{Origin: "u", Kind: oci.KindTag, Ref: "v1"}
		gone, broken := Key{Origin: "s", Ref: "gone"}, Key{Origin: "s", Ref: "broken"}
		c.cache.Set(blob, Answer{Held: true})
		c.cache.Set(tag, Answer{Held: true})
		c.cache.Set(gone, Answer{})
		c.cache.Set(broken, Answer{Failed: true})
		known := func() (out [4]bool) {
			for i, k := range []Key{blob, tag, gone, broken} {
				_, out[i] = c.Lookup(k)
			}
			return out
		}
		for _, step := range []struct {
			after time.Duration
			want  [4]bool
		}{
			{4 * time.Second, [4]bool{true, true, true, true}},
			{4 * time.Second, [4]bool{true, true, true, false}},
			{24 * time.Second, [4]bool{true, true, false, false}},
			{30 * time.Second, [4]bool{true, false, false, false}},
			{24 * time.Hour, [4]bool{}},
		} {
			<-time.After(step.after) // virtual time
			if got := known(); got != step.want {
				t.Errorf("%s later: %v, want %v", step.after, got, step.want)
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	c := newChecker(t, Options{Entries: 1000})
	for i := range 50_000 {
		c.cache.Set(Key{Origin: "s", Ref: fmt.Sprint(i)}, Answer{Size: -1})
	}
	c.cache.CleanUp()
	if n := c.Len(); n > 1000 {
		t.Errorf("%d answers remembered, want at most 1000", n)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	c := newChecker(t, Options{})
	k := Key{Origin: "https://prod-use1.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}", Kind: oci.KindBlob, Ref: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
	c.cache.Set(k, Answer{Held: true})
	if n := testing.AllocsPerRun(100, func() { c.Lookup(k) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func poll(t *testing.T, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if wait.Until(ctx, time.Millisecond, cond) != nil {
		t.Fatal("condition not met in 10 s")
	}
}

func BenchmarkLookup(b *testing.B) {
	c, _ := New(Options{})
	defer c.Close()
	k := Key{Origin: "https://prod-use1.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}", Kind: oci.KindBlob, Ref: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
	c.cache.Set(k, Answer{Held: true})
	b.ReportAllocs()
	for b.Loop() {
		c.Lookup(k)
	}
}
