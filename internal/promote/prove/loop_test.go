package prove

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A loop looks at its interval, counts how looks end, and reports when looks do not end any more.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks int
		answers := []error{nil, errors.New("no manifests"), nil}
		stuck := make(chan struct{})
		l := NewLoop(time.Hour, func(_ context.Context, progress func(done, of int64)) (*Report, error) {
			if looks == len(answers) {
				<-stuck
			}
			err := answers[min(looks, len(answers)-1)]
			looks++
			progress(1, 1)
			if err != nil {
				return nil, err
			}
			r := &Report{Found: map[Class]int64{}, Asked: map[string]int64{"h": 3}}
			if looks > 1 {
				r.Found[Moved] = 2
			}
			return r, nil
		}, nil)
		get := func(path string) (int, string) {
			rec := httptest.NewRecorder()
			l.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			body, _ := io.ReadAll(rec.Body)
			return rec.Code, string(body)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go l.Run(ctx)
		synctest.Wait()
		if _, text := get("/metrics"); !strings.Contains(text, `ociproxy_promote_verify_findings{class="moved"} 0`) {
			t.Error(text)
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		pass(2*time.Hour + time.Minute)
		_, text := get("/metrics")
		for _, line := range []string{
			`looks_total{result="clean"} 1`, `looks_total{result="failed"} 1`, `looks_total{result="faulty"} 1`, `findings{class="moved"} 2`, `requests_total 6`,
		} {
			if !strings.Contains(text, "ociproxy_promote_verify_"+line+"\n") {
				t.Errorf("no %s", line)
			}
		}
		for _, path := range []string{"/-/ready", "/-/live"} {
			if code, _ := get(path); code != http.StatusOK {
				t.Errorf("%s: %d", path, code)
			}
		}
		pass(3 * time.Hour) // the next look hangs
		for _, path := range []string{"/-/ready", "/-/live"} {
			if code, _ := get(path); code != http.StatusServiceUnavailable {
				t.Errorf("%s of a loop that hangs: %d", path, code)
			}
		}
		cancel()
		close(stuck)
		synctest.Wait()
	})
}
