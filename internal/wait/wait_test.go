package wait

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

var errEnough = errors.New("enough")

// ends makes a context that ends after d, with errEnough as its cause.
func ends(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(d, func() { cancel(errEnough) })
	return ctx
}

func TestFor(t *testing.T) {
	tests := []struct {
		name    string
		d, ends time.Duration
		takes   time.Duration
		want    error
	}{
		{"the time passes", 3 * time.Second, time.Minute, 3 * time.Second, nil},
		{"ctx ends first", time.Minute, 3 * time.Second, 3 * time.Second, errEnough},
		{"no time", 0, time.Minute, 0, nil},
		{"less than none", -time.Second, time.Minute, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, start := ends(t, tt.ends), time.Now()
				if err := For(ctx, tt.d); !errors.Is(err, tt.want) {
					t.Errorf("got error %v, want %v", err, tt.want)
				}
				if took := time.Since(start); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
			})
		})
	}
}

// For must see a context that has ended every time, even if the time is up too or d is not positive.
func TestForEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	for range 100 {
		for _, d := range []time.Duration{-1, 0, 1, time.Hour} {
			if err := For(ctx, d); !errors.Is(err, errEnough) {
				t.Fatalf("For(%v): got error %v, want %v", d, err, errEnough)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx := lateContext{t.Context(), time.Now().Add(time.Second)}
		if err := For(ctx, time.Second); !errors.Is(err, errEnough) {
			t.Errorf("both at once: got error %v, want %v", err, errEnough)
		}
	})
}

// lateContext ends at a certain time, but does not wake its waiters.
type lateContext struct {
	context.Context
	at time.Time
}

func (lateContext) Done() <-chan struct{} { return nil }
func (lateContext) Value(any) any         { return nil }

func (c lateContext) Err() error {
	if time.Now().Before(c.at) {
		return nil
	}
	return errEnough
}

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		for now := range Every(ends(t, 3500*time.Millisecond), time.Second) {
			at = append(at, now.Sub(start))
		}
		if len(at) != 3 || at[0] != time.Second || at[2] != 3*time.Second {
			t.Errorf("came at %v, want at 1, 2 and 3 s", at)
		}
		if took := time.Since(start); took != 3500*time.Millisecond {
			t.Errorf("ended after %v, want 3.5 s", took)
		}
		start = time.Now()
		for range Every(t.Context(), time.Second) {
			break
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("left after %v, want 1 s", took)
		}
	})
}

// Every must yield nothing after ctx has ended, even if a tick is waiting.
func TestEveryEnded(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			for range Every(ctx, time.Second) {
				n++
				cancel()
				<-time.After(time.Second) // on synctest's clock; the next tick waits
			}
			if n != 1 {
				t.Fatalf("came %d times, want once", n)
			}
		})
	}
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		after := func(d time.Duration) func() bool { return func() bool { return time.Since(start) >= d } }
		for _, d := range []time.Duration{0, time.Second} { // at once, and at the second call
			if err := Until(t.Context(), time.Second, after(d)); err != nil || time.Since(start) != d {
				t.Errorf("done after %v: error %v after %v", d, err, time.Since(start))
			}
		}
		start = time.Now()
		if err := Until(ends(t, 5*time.Second), time.Second, after(time.Hour)); !errors.Is(err, errEnough) {
			t.Errorf("never done: got error %v, want %v", err, errEnough)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("gave up after %v, want 5 s", took)
		}
		start = time.Now()
		if err := Until(ends(t, 1500*time.Millisecond), time.Second, after(1500*time.Millisecond)); err != nil {
			t.Errorf("done at the last moment: error %v", err)
		}
	})
}

func TestDoubled(t *testing.T) {
	const first, most = 250 * time.Millisecond, 15 * time.Second
	for n, want := range []time.Duration{0: first, 1: 2 * first, 2: 4 * first, 5: 8 * time.Second, 6: most, 7: most} {
		if want == 0 {
			continue
		}
		if got := Doubled(first, n, most); got != want {
			t.Errorf("doubled %d times: got %v, want %v", n, got, want)
		}
	}
	for _, tt := range []struct {
		first time.Duration
		n     int
		most  time.Duration
		want  time.Duration
	}{
		{first, -1, most, first},
		{time.Hour, 0, time.Minute, time.Minute},
		{first, math.MaxInt, most, most},
		{1, 62, math.MaxInt64, 1 << 62},
		{1, 63, math.MaxInt64, math.MaxInt64},
		{3, 62, math.MaxInt64, math.MaxInt64},
	} {
		if got := Doubled(tt.first, tt.n, tt.most); got != tt.want {
			t.Errorf("%v doubled %d times up to %v: got %v, want %v", tt.first, tt.n, tt.most, got, tt.want)
		}
	}
}

func TestChance(t *testing.T) {
	tests := []struct {
		name        string
		f           func(time.Duration) time.Duration
		d, low, top time.Duration
	}{
		{"half", Jitter, 10 * time.Second, 5 * time.Second, 10 * time.Second},
		{"half of nearly nothing", Jitter, 1, 0, 1},
		{"half of nothing", Jitter, 0, 0, 0},
		{"half of less", Jitter, -5, -5, -5},
		{"a tenth", About, 10 * time.Second, 9 * time.Second, 11 * time.Second},
		{"a tenth of nearly nothing", About, 1, 1, 1},
		{"a tenth of nothing", About, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			low, top := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
			for range 1000 {
				got := tt.f(tt.d)
				low, top = min(low, got), max(top, got)
			}
			if low < tt.low || top > tt.top {
				t.Errorf("from %v to %v, want within %v to %v", low, top, tt.low, tt.top)
			}
			// The chance that a thousand values miss a hundredth of the range at one end is 1 in 20 000.
			if edge := (tt.top - tt.low) / 100; tt.top > 1 && (low > tt.low+edge || top < tt.top-edge) {
				t.Errorf("from %v to %v, want all of %v to %v", low, top, tt.low, tt.top)
			}
		})
	}
}
