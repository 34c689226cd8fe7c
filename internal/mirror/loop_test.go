package mirror

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/walk"
)

func get(t *testing.T, l *Loop, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	l.Handler().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return rec.Code, rec.Body.String()
}

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var starts []time.Duration
		begin := time.Now()
		takes := []time.Duration{time.Minute, 20 * time.Minute, time.Minute, 3 * time.Hour}
		l := NewLoop(15*time.Minute, func(ctx context.Context, _ func(*Pass)) (*Report, error) {
			n := len(starts)
			starts = append(starts, time.Since(begin))
			timer := time.NewTimer(takes[n])
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return &Report{Result: Interrupted}, nil
			}
			if n == 2 {
				return nil, errors.New("no config")
			}
			return &Report{Result: Done, Errors: map[Class]int64{SourceGone: 2}, Source: SourceReport{Name: "reg", Requests: 7},
				Stores: []StoreReport{{Name: "s", Uploaded: 3, Requests: 5, Incomplete: 1, LagSeconds: 10, OldestSeconds: 20}}}, nil
		}, nil)
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		sleep := func(d time.Duration) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
		}
		sleep(40 * time.Minute) // two passes have ended, a third too, the fourth hangs
		if code, _ := get(t, l, "/-/ready"); code != 200 {
			t.Errorf("ready: %d", code)
		}
		_, text := get(t, l, "/metrics")
		for _, want := range []string{
			`ociproxy_mirror_passes_total{result="done"} 2`, `ociproxy_mirror_passes_total{result="failed"} 1`,
			`ociproxy_mirror_errors_total{class="source-gone"} 4`, `ociproxy_mirror_errors_total{class="spool"} 0`,
			`ociproxy_mirror_blobs_total{how="uploaded",store="s"} 6`, `ociproxy_mirror_requests_total{candidate="reg"} 14`,
			`ociproxy_mirror_requests_total{candidate="s"} 10`, `ociproxy_mirror_incomplete_images{store="s"} 1`,
			`ociproxy_mirror_lag_seconds{store="s"} 310`, `ociproxy_mirror_oldest_incomplete_seconds{store="s"} 320`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("metrics lack %s", want)
			}
		}
		sleep(2 * time.Hour)
		for _, path := range []string{"/-/ready", "/-/live"} {
			if code, _ := get(t, l, path); code != 503 {
				t.Errorf("%s: %d after a pass hung for hours", path, code)
			}
		}
		cancel()
		<-done
		want := []time.Duration{0, 15 * time.Minute, 35 * time.Minute, 50 * time.Minute}
		if !slices.Equal(starts, want) {
			t.Errorf("passes began after %v, want %v", starts, want)
		}
	})
}

// The age of a manifest that is late counts from when it was seen first, where the source does not tell.
func TestSeen(t *testing.T) {
	now := time.Now()
	n := &walk.Node{Digest: digest(t, sumOf("a"))}
	s := new(Seen)
	if got := s.at(n, now); !got.Equal(now) {
		t.Errorf("first: %v", got)
	}
	if got := s.at(n, now.Add(time.Hour)); !got.Equal(now) {
		t.Errorf("later: %v", got)
	}
	s.forget(n)
	if got := s.at(n, now.Add(time.Hour)); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("forgotten: %v", got)
	}
	told := &walk.Node{Digest: n.Digest, At: now.Add(-time.Hour)}
	if got := s.at(told, now); !got.Equal(told.At) {
		t.Errorf("told: %v", got)
	}
	if got := (*Seen)(nil).at(n, now); !got.Equal(now) {
		t.Errorf("nil: %v", got)
	}
}
