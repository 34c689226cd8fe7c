package registry

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/outbound"
)

// failing is a transport on which every request fails, or gets an answer with a status.
type failing struct {
	err    error
	status int
	after  string // Retry-After
	n      int
}

func (f *failing) RoundTrip(req *http.Request) (*http.Response, error) {
	f.n++
	if f.status == 0 && f.err == nil { // it hangs
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	h := http.Header{}
	if f.after != "" {
		h.Set("Retry-After", f.after)
	}
	return &http.Response{StatusCode: f.status, Header: h, Body: http.NoBody, Request: req}, nil
}

// The error of the first contact with a registry says why it failed. It comes at once when another attempt would fail
// in the same way. When the time is up, it is the error of the last attempt.
func TestFirstContact(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		failing failing
		limit   time.Duration // the caller's time limit
		within  time.Duration
		tries   int // at most
		want    []string
	}{
		"an unknown authority": {failing{err: x509.UnknownAuthorityError{}}, time.Minute, 0, 1, []string{"unknown authority", "SSL_CERT_FILE"}},
		"no such host":         {failing{err: dial(&net.DNSError{Err: "no such host", Name: "r", IsNotFound: true})}, time.Minute, 0, 1, []string{"no such host"}},
		"refused": {failing{err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))}, time.Minute, 3 * time.Second, 5,
			[]string{"refused", "no server listens"}},
		"a proxy's password":            {failing{err: &outbound.ProxyError{Proxy: "proxy.test", Status: 407}}, time.Minute, 0, 1, []string{"proxy.test", "407", "HTTPS_PROXY"}},
		"a proxy's, plainly":            {failing{status: 407}, time.Minute, 0, 1, []string{"407", "HTTPS_PROXY"}},
		"no time for another":           {failing{status: 502}, time.Second, time.Second, 9, []string{"status 502"}},
		"throttled for long":            {failing{status: 429}, time.Second, time.Second, 9, []string{"status 429"}},
		"throttled":                     {failing{status: 429}, time.Hour, 13 * time.Second, 9, []string{"status 429"}},
		"throttled by the second":       {failing{status: 503, after: "1"}, time.Hour, 13 * time.Second, 12, []string{"status 503"}},
		"throttled for a while":         {failing{status: 503, after: "20"}, time.Hour, 22 * time.Second, 2, []string{"status 503", "come again in 20s"}},
		"throttled for half an hour":    {failing{status: 429, after: "1800"}, time.Hour, 0, 1, []string{"status 429", "come again in 5m0s"}},
		"a bad gateway":                 {failing{status: 502}, time.Hour, 13 * time.Second, 9, []string{"status 502"}},
		"broken":                        {failing{status: 500}, time.Hour, 13 * time.Second, 9, []string{"status 500"}},
		"a proxy's, each time":          {failing{err: &outbound.ProxyError{Proxy: "proxy.test", Status: 502}}, time.Hour, 13 * time.Second, 9, []string{"proxy.test", "502"}},
		"it hangs":                      {failing{}, time.Hour, 30 * time.Second, 1, []string{"time-out"}},
		"connections that are not made": {failing{err: dial(os.ErrDeadlineExceeded)}, time.Hour, 13 * time.Second, 9, []string{"i/o timeout"}},
		"cut off each time":             {failing{err: dial(syscall.ECONNRESET)}, time.Second, time.Second, 9, []string{"reset"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tt.failing
				var log bytes.Buffer
				r := open(t, host, func(o *Options) {
					o.Transport, o.Prefix, o.Insecure, o.Logger = &f, "", false, slog.New(slog.NewTextHandler(&log, nil))
				})
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				begun := time.Now()
				_, err := r.Manifest(ctx, "image", "latest")
				if took := time.Since(begun); err == nil || took > tt.within || f.n > tt.tries {
					t.Fatalf("after %v and %d requests: %v; want at most %v and %d", took, f.n, err, tt.within, tt.tries)
				}
				if lines := strings.Count(log.String(), "registry.test"); lines != min(1, f.n-1) {
					t.Errorf("%d requests, and the log says %s; want one line when one was repeated", f.n, &log)
				}
				for _, want := range append(tt.want, "registry.test") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v: want %q in it", err, want)
					}
				}
				if tt.limit < time.Minute && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not tell that the time was up", err)
				}
			})
		})
	}
}

// A registry that has answered before may be restarting: it gets as many attempts as for any other failure.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		var f failing
		r, w := openWorld(t, func(http.ResponseWriter, *http.Request) {})
		r.own.base = roundTrip(func(req *http.Request) (*http.Response, error) {
			if down {
				f.err = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				return f.RoundTrip(req)
			}
			return w.RoundTrip(req)
		})
		if _, err := r.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		down = true
		_, err := r.Manifest(t.Context(), "image", "latest")
		if f.n != 1+maxFailed || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%d requests, %v; want %d", f.n, err, 1+maxFailed)
		}
	})
}

// All callers learn from one request that a registry is down, and it is asked again a little later. A caller whose
// context ends does not cause a failure for the others.
func TestDownForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "r", IsNotFound: true}}}
		r := open(t, host, func(o *Options) { o.Transport, o.Prefix, o.Insecure = f, "", false })
		hurried, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.List(hurried, "image"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		before := f.n
		ask := func() (tries int) {
			was := f.n
			var wg sync.WaitGroup
			for n := range 40 {
				wg.Go(func() {
					if _, err := r.List(t.Context(), fmt.Sprintf("image-%d", n)); err == nil || !strings.Contains(err.Error(), "no such host") {
						t.Errorf("image-%d: %v", n, err)
					}
				})
			}
			wg.Wait()
			return f.n - was
		}
		if n := ask(); n != 1 {
			t.Errorf("%d requests for forty repositories, %d before; want 1", n, before)
		}
		if n := ask(); n != 0 {
			t.Errorf("%d requests right afterwards, want none", n)
		}
		time.Sleep(askAgain) //nolint:forbidigo // virtual time
		if n := ask(); n != 1 {
			t.Errorf("%d requests later, want 1", n)
		}
	})
}

// A registry that has answered well before may be throttling: it gets the usual number of attempts.
func TestLaterStorm(t *testing.T) {
	for name, tt := range map[string]struct {
		failing failing
		tries   int
		least   time.Duration
	}{
		"429":     {failing{status: 429}, 1 + maxThrottled, time.Minute},
		"503":     {failing{status: 503, after: "30"}, 1 + maxThrottled, 4 * time.Minute},
		"an hour": {failing{status: 429, after: "3600"}, 1 + maxThrottled, 40 * time.Minute},
		"502":     {failing{status: 502}, 1 + maxFailed, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storm := false
				f := tt.failing
				r, w := openWorld(t, func(http.ResponseWriter, *http.Request) {})
				r.own.base = roundTrip(func(req *http.Request) (*http.Response, error) {
					if storm {
						return f.RoundTrip(req)
					}
					return w.RoundTrip(req)
				})
				if _, err := r.ask(t.Context()); err != nil {
					t.Fatal(err)
				}
				storm = true
				begun := time.Now()
				_, err := r.Manifest(t.Context(), "image", "latest")
				if took := time.Since(begun); err == nil || f.n != tt.tries || took < tt.least {
					t.Errorf("after %v and %d requests: %v; want %d in at least %v", took, f.n, err, tt.tries, tt.least)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (rt roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return rt(req) }
