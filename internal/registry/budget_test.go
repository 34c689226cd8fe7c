package registry

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

const tagsBody = `{"name":"app","tags":["v1"]}`

// When the host asks for a pause, all callers keep it. Then the rate is halved, and rises slowly again.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		open := start.Add(30 * time.Second)
		var early atomic.Int32
		r, _ := openWorld(t, func(w http.ResponseWriter, _ *http.Request) {
			if now := time.Now(); now.Before(open) {
				if now.Sub(start) > 2*time.Second {
					early.Add(1)
				}
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			_, _ = io.WriteString(w, tagsBody)
		}, func(o *Options) { o.Budget = NewBudget(64, 4) })
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := r.List(t.Context(), "app"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := early.Load(); n > 0 {
			t.Errorf("%d requests within the pause", n)
		}
		requests, retries, throttled := r.Budget().Stats()
		if requests != 21+retries || throttled == 0 || throttled > 4 || retries != throttled {
			t.Errorf("%d requests, %d retries, %d throttled", requests, retries, throttled)
		}
		if got := r.Budget().Rate(); got < 32 || got > 34 {
			t.Errorf("rate %v after one halving of 64", got)
		}
		for range 50 {
			if err := wait.For(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			if _, err := r.List(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.Budget().Rate(); got != 64 {
			t.Errorf("rate %v half a minute later, want 64", got)
		}
	})
}

// When throttling never ends, the client gives up after a bounded number of pauses, however long the host says they
// are. The rate has a floor.
func TestStorm(t *testing.T) {
	for name, tt := range map[string]struct{ header, said string }{
		"seconds": {"60", ", come again in 1m0s"}, "a year": {"31536000", ", come again in 5m0s"}, "nothing": {},
		"a date": {"Mon, 03 Jan 2000 00:00:00 GMT", ", come again in 5m0s"}, "nonsense": {header: "soon"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := openWorld(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", tt.header)
					w.WriteHeader(http.StatusTooManyRequests)
					_, _ = io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\u001b[31m down"}]}`)
				})
				start := time.Now()
				_, err := r.List(t.Context(), "app")
				if !errors.Is(err, ErrThrottled) {
					t.Fatal(err)
				}
				if want := "list registry.test/app:*: status 429 Too Many Requests" + tt.said + ": TOOMANYREQUESTS (slow[31m down)"; err.Error() != want {
					t.Errorf("message %q, want %q", err, want)
				}
				if requests, _, _ := r.Budget().Stats(); requests != 2+maxThrottled {
					t.Errorf("%d requests", requests)
				}
				if d := time.Since(start); d > (maxThrottled+1)*(outbound.MaxPause+time.Minute) {
					t.Errorf("given up after %v", d)
				}
				if got, floor := r.Budget().Rate(), 10_000.0/64; got < floor {
					t.Errorf("rate %v, at least %v", got, floor)
				}
			})
		})
	}
}

// A cancelled request does not wait for the end of the pause.
func TestPauseCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := openWorld(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := r.List(ctx, "app"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// After a 503 without a time, another 5xx or a broken connection, only the affected caller tries again; the others do
// not wait.
func TestPassingFailures(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 408, 0} {
		synctest.Test(t, func(t *testing.T) {
			failures := 3
			r, _ := openWorld(t, func(w http.ResponseWriter, req *http.Request) {
				if failures > 0 {
					failures--
					w.WriteHeader(max(status, 500))
					return
				}
				_, _ = io.WriteString(w, tagsBody)
			})
			if _, err := r.List(t.Context(), "app"); err != nil {
				t.Error(err)
			}
			if _, retries, throttled := r.Budget().Stats(); retries != 3 || throttled != 0 {
				t.Errorf("%d: %d retries, %d throttled", status, retries, throttled)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r, _ := openWorld(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		_, err := r.List(t.Context(), "app")
		if refusal, ok := errors.AsType[*StatusError](err); !ok || refusal.Code != http.StatusBadGateway {
			t.Error(err)
		}
		if requests, _, _ := r.Budget().Stats(); requests != 2+maxFailed {
			t.Errorf("%d requests", requests)
		}
	})
}

// A caller that cannot get a turn in time gets the error at once.
func TestTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := openWorld(t, text(tagsBody), func(o *Options) { o.Budget = NewBudget(0.01, 1) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.List(ctx, "app"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// The rate limit and the limit of requests at once are kept. Blobs that are not being read do not block manifests.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		r, _ := openWorld(t, serve(map[string]http.HandlerFunc{
			"/v2/app/tags/list": func(w http.ResponseWriter, req *http.Request) {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				_ = wait.For(req.Context(), time.Second)
				now.Add(-1)
				_, _ = io.WriteString(w, tagsBody)
			},
			"/v2/app/blobs/" + sum("sha256", nil).String(): text(""),
		}), func(o *Options) { o.Budget = NewBudget(10, 3) })
		var bodies []io.Closer
		for range 3 {
			body, _, err := r.OpenBlob(t.Context(), "app", sum("sha256", nil), 0)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, body)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := r.OpenBlob(short, "app", sum("sha256", nil), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a fourth blob: %v", err)
		}
		start := time.Now()
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				if _, err := r.List(t.Context(), "app"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if d := time.Since(start).Seconds(); most.Load() != 3 || math.Round(d) != 4 {
			t.Errorf("%d at once, %v s; want 3, 4", most.Load(), d)
		}
		for _, b := range bodies {
			b.Close()
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r, _ := openWorld(t, text(tagsBody), func(o *Options) { o.Budget = NewBudget(10, 16) })
		start := time.Now()
		for range 51 {
			if _, err := r.List(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 5*time.Second || d > 5300*time.Millisecond {
			t.Errorf("52 requests at 10 a second took %v", d)
		}
	})
}
