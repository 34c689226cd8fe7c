package health

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/oci"
)

// world is a set of stores s0, s1, … in memory, for tests in virtual time. It is the transport of the monitor.
type world struct {
	mu      sync.Mutex
	fault   map[string]string // by host; "": it works
	asked   map[string][]time.Duration
	results map[string]int // by result
	missing map[string]int // by name
	begin   time.Time
	flying  int
	most    int
	log     bytes.Buffer
}

// blob is what every store of a world holds.
var blob = bytes.Repeat([]byte("layer "), 5000)

func sum(b []byte) oci.Digest {
	h := sha256.Sum256(b)
	d, err := oci.ParseDigest("sha256:" + hex.EncodeToString(h[:]))
	if err != nil {
		panic(err)
	}
	return d
}

func newWorld() *world {
	return &world{
		fault: map[string]string{}, asked: map[string][]time.Duration{}, results: map[string]int{}, missing: map[string]int{},
		begin: time.Now(),
	}
}

// monitor returns a monitor that asks this world.
func (w *world) monitor() *Monitor {
	return New(Options{
		Client: &http.Client{Transport: w},
		Logger: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
		Observe: func(_, result string, _ time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.results[result]++
		},
		Missing: func(name string, _ oci.Digest) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.missing[name]++
		},
	})
}

func (w *world) set(fault string, hosts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range hosts {
		w.fault[h] = fault
	}
}

// probes returns when a host got its requests, and forgets these.
func (w *world) probes(host string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer delete(w.asked, host)
	return w.asked[host]
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.log.Reset()
	return w.log.String()
}

// RoundTrip answers according to the host's fault.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked[r.URL.Host] = append(w.asked[r.URL.Host], time.Since(w.begin))
	w.flying++
	w.most = max(w.most, w.flying)
	w.mu.Unlock()
	time.Sleep(20 * time.Millisecond) //nolint:forbidigo // virtual time: the round trip
	defer func() {
		w.mu.Lock()
		w.flying--
		w.mu.Unlock()
	}()
	w.mu.Lock()
	fault := w.fault[r.URL.Host]
	w.mu.Unlock()
	header := http.Header{}
	answer := func(code int, body []byte) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
	}
	switch fault {
	case "refused":
		return nil, errors.New("connection refused")
	case "hung":
		<-r.Context().Done()
		return nil, r.Context().Err()
	case "500":
		return answer(500, nil)
	case "403", "404", "429":
		var code int
		fmt.Sscan(fault, &code)
		return answer(code, nil)
	}
	var a, b int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &a, &b); n == 2 {
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", a, b, len(blob)))
		return answer(206, blob[a:b+1])
	}
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &a); n == 1 {
		if fault == "no resumes" {
			return answer(400, nil)
		}
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", a, len(blob)-1, len(blob)))
		return answer(206, blob[a:])
	}
	return answer(200, blob)
}

func targets(n int) []Target {
	list := make([]Target, n)
	for i := range list {
		name := fmt.Sprint("s", i)
		o := Object{URL: "https://" + name + "/blob", Digest: sum(blob), Size: int64(len(blob))}
		list[i] = Target{Name: name, Origin: o.URL, Sample: func(int64) (Object, bool) { return o, true }}
	}
	return list
}

func names(a, b int) (list []string) {
	for i := a; i < b; i++ {
		list = append(list, fmt.Sprint("s", i))
	}
	return list
}

// virtual runs a test in virtual time with n stores and a running monitor.
func virtual(t *testing.T, n int, test func(t *testing.T, w *world, m *Monitor, v *View)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := w.monitor()
		v := m.SetTargets(targets(n))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		test(t, w, m, v)
		cancel()
		<-done
	})
}

// elapse lets virtual time pass.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

// until lets time pass until cond is true, at most limit, and returns how long that took.
func until(t *testing.T, limit time.Duration, cond func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > limit {
			t.Fatalf("not so after %v", limit)
		}
		elapse(50 * time.Millisecond)
	}
	return time.Since(begin)
}

func (v *View) String() string {
	set := v.Usable()
	var b strings.Builder
	for i := range v.list {
		if set.Has(i) {
			b.WriteByte('+')
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}
