package pace

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// peer delivers n bytes after each pause.
type peer struct {
	ctx   context.Context
	pause time.Duration
	n     int
	left  int
}

func (p *peer) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	t := time.NewTimer(p.pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
		return 0, context.Cause(p.ctx)
	}
	n := min(p.n, p.left, len(b))
	p.left -= n
	return n, nil
}

var errSlow = errors.New("slow")

// read reads a peer to its end and works for a while after each piece. It returns the total time.
func read(t *testing.T, p peer, work time.Duration) (took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	w := Minimum{1000, time.Minute}.Watch(func() { cancel(errSlow) })
	defer w.Stop()
	p.ctx = ctx
	begun := time.Now()
	b := make([]byte, 1<<20)
	for err == nil {
		_, err = w.Read(&p, b)
		<-time.After(work)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return time.Since(begun), err
}

func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name string
		peer peer
		work time.Duration
		took time.Duration // 0: any time
		want error
	}{
		{"as fast as must be", peer{pause: 59 * time.Second, n: 1000, left: 100_000}, 0, 0, nil},
		{"a byte a minute", peer{pause: time.Minute - 1, n: 1, left: 100_000}, 0, time.Minute, errSlow},
		{"a byte a second", peer{pause: time.Second, n: 1, left: 100_000}, 0, time.Minute, errSlow},
		{"nothing at all", peer{pause: time.Hour, n: 1, left: 1}, 0, time.Minute, errSlow},
		{"half the pace", peer{pause: 30*time.Second - 1, n: 250, left: 100_000}, 0, time.Minute, errSlow},
		{"a small one, slowly", peer{pause: 59 * time.Second, n: 1, left: 1}, 0, 0, nil},
		{"we work for long", peer{pause: 50 * time.Second, n: 1000, left: 100_000}, time.Hour, 0, nil},
		{"we work for long, and it drips", peer{pause: 10 * time.Second, n: 1, left: 100_000}, time.Hour, 0, errSlow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took, err := read(t, tt.peer, tt.work)
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if tt.took > 0 && took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// Sending counts while the peer does not take the data, not while we prepare the data.
func TestSend(t *testing.T) {
	for _, tt := range []struct {
		name       string
		ours, peer time.Duration // for each piece of 500 bytes
		answer     time.Duration
		slow       bool
	}{
		{"a good peer", time.Second, time.Second, time.Second, false},
		{"we are slow", time.Hour, time.Second, time.Second, false},
		{"it takes its time", time.Second, 29 * time.Second, time.Second, false},
		{"it takes too long", time.Second, 31 * time.Second, time.Second, true},
		{"it answers late", time.Second, 29 * time.Second, 59 * time.Second, false},
		{"it never answers", time.Second, time.Second, time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var slow atomic.Bool
				w := Minimum{1000, time.Minute}.Watch(func() { slow.Store(true) })
				body := &peer{ctx: t.Context(), pause: tt.ours, n: 500, left: 10_000}
				w.Wait()
				for b := make([]byte, 1000); ; {
					if _, err := w.Send(body, b); err != nil {
						break
					}
					<-time.After(tt.peer)
				}
				<-time.After(tt.answer)
				synctest.Wait()
				w.Stop()
				if slow.Load() != tt.slow {
					t.Errorf("slow: %v, want %v", slow.Load(), tt.slow)
				}
				w.Wait() // has no effect any more
				<-time.After(time.Hour)
			})
		})
	}
}

// tripper answers after a pause, and then sends its body slowly.
type tripper struct{ answer, pause time.Duration }

func (r tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case <-time.After(r.answer):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	body := io.NopCloser(&peer{ctx: req.Context(), pause: r.pause, n: 1, left: 1000})
	return &http.Response{StatusCode: http.StatusOK, Body: body, Request: req}, nil
}

func TestRoundTrip(t *testing.T) {
	for name, r := range map[string]tripper{"no headers": {time.Hour, 0}, "drips": {time.Second, 10 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://store", nil)
				if err != nil {
					t.Fatal(err)
				}
				least := Minimum{Window, time.Minute}
				why := least.Err()
				begun := time.Now()
				resp, err := RoundTrip(r, req, least, why)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if took := time.Since(begun); !errors.Is(err, ErrSlow) || took > 2*time.Minute {
					t.Errorf("%v after %v", err, took)
				}
				<-time.After(time.Hour) // let the pending answers end
			})
		})
	}
}
