package existence

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// far is a store one round trip away that closes connections after a minute without use. Its transport works like
// net/http's: each request takes an idle connection, or makes one, which takes three round trips.
type far struct {
	trip time.Duration

	mu    sync.Mutex
	idle  []time.Time // idle connections, by the time since when they are idle
	made  int
	asked int
}

func (s *far) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(r.Context())
	trace.GetConn("store:443")
	s.mu.Lock()
	s.asked++
	reused := false
	for n := len(s.idle); n > 0 && !reused; n-- {
		reused = time.Since(s.idle[n-1]) < time.Minute
		s.idle = s.idle[:n-1]
	}
	if !reused {
		s.made++
	}
	s.mu.Unlock()
	if !reused {
		<-time.After(3 * s.trip)
	}
	trace.GotConn(httptrace.GotConnInfo{Reused: reused})
	<-time.After(s.trip)
	s.mu.Lock()
	s.idle = append(s.idle, time.Now())
	s.mu.Unlock()
	return &http.Response{StatusCode: honest(200)(r.URL.Path), Header: http.Header{}, Body: http.NoBody, ContentLength: 9, Request: r}, nil
}

func farWorld(t *testing.T, trip time.Duration, f func(t *testing.T, c *Checker, s *far, keep func(time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &far{trip: trip}
		c, err := New(Options{Client: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		f(t, c, s, func(d time.Duration) {
			for range int(d / time.Second) {
				c.Keep(pacedTarget("sha256:d"), allowed)
				<-time.After(time.Second)
			}
		})
		<-time.After(20 * time.Second)
		c.Close()
	})
}

// Any of several concurrent requests may need its own connection. The wait allows for that time too.
func TestNewConnectionsAreAllowedFor(t *testing.T) {
	farWorld(t, 100*time.Millisecond, func(t *testing.T, c *Checker, _ *far, keep func(time.Duration)) {
		keep(20 * time.Minute)
		var wg sync.WaitGroup
		for i := range 15 {
			wg.Go(func() {
				if held, waited := first(c, home, fmt.Sprint("sha256:b", i)); !held {
					t.Errorf("blob %d is lost after %s", i, waited)
				}
			})
		}
		wg.Wait()
	})
}

func TestConnectionsAreKeptWarm(t *testing.T) {
	farWorld(t, 200*time.Millisecond, func(t *testing.T, c *Checker, s *far, keep func(time.Duration)) {
		keep(5 * time.Second)
		if held, waited := first(c, home, "sha256:b1"); !held || waited != 200*time.Millisecond {
			t.Errorf("the first blob after the start: %v after %s, want one round trip", held, waited)
		}
		keep(time.Hour)
		if held, waited := first(c, home, "sha256:b2"); !held || waited != 200*time.Millisecond {
			t.Errorf("the first blob after an idle hour: %v after %s, want one round trip", held, waited)
		}
		if s.made > 1 {
			t.Errorf("%d connections made, want 1", s.made)
		}
		if s.asked > 4*60+20 { // plus a proof every five minutes
			t.Errorf("%d requests in an hour", s.asked)
		}
		asked := s.asked
		for range 100 { // while the origin is in use, nothing is added
			keep(time.Second)
			first(c, home, fmt.Sprint("sha256:b", s.asked))
		}
		if s.asked-asked > 102 {
			t.Errorf("%d requests for 100 blobs", s.asked-asked)
		}
	})
}
