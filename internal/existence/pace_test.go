package existence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/oci"
)

// paced is a store in virtual time. It has everything that begins with "sha256:b", and answers with the given
// latencies.
type paced struct {
	held, absent atomic.Int64 // latencies
	dead         atomic.Bool  // never answers
	asked        atomic.Int64
}

func (s *paced) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	status, latency := http.StatusNotFound, time.Duration(s.absent.Load())
	if strings.Contains(r.URL.Path, "sha256:b") {
		status, latency = http.StatusOK, time.Duration(s.held.Load())
	}
	if s.dead.Load() {
		latency = time.Hour
	}
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, ContentLength: 9, Request: r}, nil
}

// pacedWorld runs f in virtual time with a store that answers after a latency, and a checker for it.
func pacedWorld(t *testing.T, latency time.Duration, f func(t *testing.T, c *Checker, s *paced)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &paced{}
		s.slow(latency)
		c, err := New(Options{Client: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		f(t, c, s)
		<-time.After(20 * time.Second) // checks that are running end
		c.Close()
	})
}

func (s *paced) slow(latency time.Duration) {
	s.held.Store(int64(latency))
	s.absent.Store(int64(latency))
}

func pacedTarget(ref string) Target {
	return Target{Key: Key{Origin: "s", Kind: oci.KindBlob, Ref: ref}, URL: "http://store/" + ref, Candidate: "s"}
}

// first checks a blob for the first time. It returns whether the blob is known to be held when the wait is over, and
// how long the wait was.
func first(c *Checker, client netip.Prefix, ref string) (held bool, waited time.Duration) {
	begin := time.Now()
	tg := pacedTarget(ref)
	c.Check(context.Background(), client, []Target{tg})
	a, _ := c.Lookup(tg.Key)
	return a.Held, time.Since(begin)
}

// firsts checks n blobs one after the other, and counts those for which clients would be sent elsewhere.
func firsts(c *Checker, what string, n int) (lost int, waited time.Duration) {
	for i := range n {
		held, took := first(c, home, fmt.Sprintf("sha256:b%s%d", what, i))
		if !held {
			lost++
		}
		waited += took
	}
	return lost, waited
}

// A store without an inventory whose HEAD took over 300 ms lost every first blob, after the client had waited.
func TestFirstBlobsGoToASlowStore(t *testing.T) {
	for _, ms := range []int{1, 20, 150, 299, 301, 350, 400, 600, 900} {
		t.Run(fmt.Sprintf("%d ms", ms), func(t *testing.T) {
			pacedWorld(t, time.Duration(ms)*time.Millisecond, func(t *testing.T, c *Checker, _ *paced) {
				if lost, _ := firsts(c, "serial", 15); lost > 0 {
					t.Errorf("%d of 15 lost, one after the other", lost)
				}
				var lost atomic.Int64
				var wg sync.WaitGroup
				for i := range 15 {
					wg.Go(func() {
						if held, _ := first(c, home, fmt.Sprint("sha256:bparallel", i)); !held {
							lost.Add(1)
						}
					})
				}
				wg.Wait()
				if lost.Load() > 0 {
					t.Errorf("%d of 15 lost, all at once", lost.Load())
				}
			})
		})
	}
}

func TestFirstBlobsGoToAStoreWhoseLatencyChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name    string
		latency func(i int) time.Duration
		lost    int // at most
	}{
		{"between 1 and 400 ms", func(int) time.Duration { return time.Duration(1+random.IntN(400)) * time.Millisecond }, 0},
		{"drifts from 20 to 900 ms", func(i int) time.Duration { return time.Duration(min(900, 20+i*i/3)) * time.Millisecond }, 0},
		{"drifts down again", func(i int) time.Duration { return time.Duration(max(20, 900-i*i/3)) * time.Millisecond }, 0},
		{"jumps from 50 to 400 ms", func(i int) time.Duration { return time.Duration(50+i/20*350) * time.Millisecond }, 1},
		{"jumps from 100 to 850 ms", func(i int) time.Duration { return time.Duration(100+min(i/20, 1)*750) * time.Millisecond }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pacedWorld(t, time.Millisecond, func(t *testing.T, c *Checker, s *paced) {
				lost := 0
				for i := range 40 {
					s.slow(tt.latency(i))
					if held, _ := first(c, home, fmt.Sprint("sha256:b", i)); !held {
						lost++
					}
				}
				if lost > tt.lost {
					t.Errorf("%d of 40 lost, want at most %d", lost, tt.lost)
				}
			})
		})
	}
}

// A dead store may cost no more than when the wait was 300 ms for every store.
func TestADeadStoreCostsNoMoreThanItDid(t *testing.T) {
	for _, known := range []time.Duration{0, 20 * time.Millisecond, 400 * time.Millisecond, 900 * time.Millisecond} {
		t.Run(known.String(), func(t *testing.T) {
			pacedWorld(t, known, func(t *testing.T, c *Checker, s *paced) {
				if known > 0 { // it was alive before
					firsts(c, "alive", 30)
				}
				s.dead.Store(true)
				lost, waited := firsts(c, "dead", 15)
				if lost != 15 {
					t.Errorf("%d of 15 sent to it", 15-lost)
				}
				if waited > 15*300*time.Millisecond {
					t.Errorf("waited %s for 15 blobs", waited)
				}
				s.dead.Store(false)
				<-time.After(10 * time.Second) // its failures are forgotten
				firsts(c, "back", 1)
				if lost, _ := firsts(c, "alive again", 15); lost > 0 {
					t.Errorf("%d of 15 lost after it came back", lost)
				}
			})
		})
	}
}

func TestADigestIsWaitedForOnce(t *testing.T) {
	pacedWorld(t, 0, func(t *testing.T, c *Checker, s *paced) {
		s.dead.Store(true)
		var second time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			<-time.After(600 * time.Millisecond)
			_, second = first(c, home, "sha256:b")
		})
		if _, waited := first(c, home, "sha256:b"); waited != time.Second {
			t.Errorf("the first request waited %s, want 1 s: nothing is known of the store", waited)
		}
		wg.Wait()
		if second != 400*time.Millisecond {
			t.Errorf("a request 600 ms later waited %s, want the rest of the second", second)
		}
		if _, waited := first(c, home, "sha256:b"); waited != 0 {
			t.Errorf("a third one waited %s for a check that is overdue", waited)
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// The second candidate has its own time, and both together wait no longer than the budget.
func TestTwoCandidatesAreWaitedForAtOnce(t *testing.T) {
	pacedWorld(t, 900*time.Millisecond, func(t *testing.T, c *Checker, _ *paced) {
		lacks, has := pacedTarget("sha256:c"), pacedTarget("sha256:b")
		has.Key.Origin = "another"
		begin := time.Now()
		c.Check(t.Context(), home, []Target{lacks, has})
		if a, _ := c.Lookup(has.Key); !a.Held || time.Since(begin) != 900*time.Millisecond {
			t.Errorf("held %v after %s, want true after 900 ms", a.Held, time.Since(begin))
		}
	})
}

// A burst of slow answers, or a flood of fast answers about missing blobs, has no lasting effect.
func TestBurstsDoNotMoveThePace(t *testing.T) {
	pacedWorld(t, 20*time.Millisecond, func(t *testing.T, c *Checker, s *paced) {
		s.slow(4 * time.Second)
		firsts(c, "slow", 10)
		s.slow(20 * time.Millisecond)
		<-time.After(paceLasts + 10*time.Second)
		firsts(c, "fast", 2*paceSamples)
		s.dead.Store(true)
		if _, waited := first(c, home, "sha256:bdead"); waited != 300*time.Millisecond {
			t.Errorf("after the burst a dead store was waited for %s, want 300 ms", waited)
		}
	})
	pacedWorld(t, 400*time.Millisecond, func(t *testing.T, c *Checker, s *paced) {
		firsts(c, "held", 30)
		s.absent.Store(int64(time.Millisecond))
		for i := range 500 {
			first(c, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24), fmt.Sprint("sha256:c", i))
			<-time.After(5 * time.Millisecond)
		}
		if lost, _ := firsts(c, "later", 15); lost > 0 {
			t.Errorf("%d of 15 lost after a flood of digests that nobody has", lost)
		}
	})
}

func TestTheWaitHasBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		limit := time.Duration(1 + random.Int64N(int64(5*time.Second)))
		least := min(limit, max(300*time.Millisecond, limit*3/10))
		p, now := pace{}, time.Now()
		for range random.IntN(200) {
			now = now.Add(time.Duration(random.Int64N(int64(time.Minute))))
			d := time.Duration(random.Int64N(int64(time.Hour)))
			switch random.IntN(4) {
			case 0:
				p.answered(true, d, d, now)
			case 1:
				p.answered(false, 0, d/1e6, now)
			case 2:
				p.missed(d, now)
			default:
				p.gaveUp(now)
			}
			switch b := p.budget(limit, now); {
			case b > limit, b < least && p.overdue < hopelessAfter, b < least/3:
				t.Fatalf("budget %s of %s", b, limit)
			}
		}
	}
}

func TestTheNinetyFifthPercentile(t *testing.T) {
	now := time.Now()
	r := ring{}
	if r.add(7, now); r.p95 != 7 {
		t.Errorf("of one it is %d, want 7", r.p95)
	}
	for i := range 1000 {
		r.add(time.Duration(i%100)*time.Millisecond, now)
	}
	if want := 96 * time.Millisecond; r.p95 != want { // the last 64 are 36 … 99 ms
		t.Errorf("it is %s, want %s", r.p95, want)
	}
	if got := r.recent(now.Add(paceLasts + 1)); got != 0 {
		t.Errorf("after ten minutes it is %s, want nothing", got)
	}
	now = now.Add(paceLasts + 1)
	if r.add(3, now); r.recent(now) != 3 {
		t.Errorf("what is ten minutes old counts: %s", r.recent(now))
	}
}
