package health

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/set"
)

// The test measures the time from a fault to ejection, with and without a passive signal, and from the repair to
// re-admission.
func TestEjectAndReadmit(t *testing.T) {
	tests := []struct {
		fault         string
		suspect, busy bool
		within        time.Duration // after the fault
	}{
		{"refused", true, false, 4 * time.Second},
		{"500", true, false, 4 * time.Second},
		{"hung", true, false, 13 * time.Second}, // 3 × 3 s until the first byte
		{"500", false, true, 40 * time.Second},
		{"hung", false, true, 50 * time.Second},
		{"500", false, false, 364 * time.Second},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s suspect=%v busy=%v", tt.fault, tt.suspect, tt.busy), func(t *testing.T) {
			virtual(t, 5, func(t *testing.T, w *world, _ *Monitor, v *View) {
				elapse(time.Minute)
				if tt.busy {
					v.Busy(set.Full(1))
					elapse(time.Minute)
				}
				w.logged()
				w.probes("s0")
				w.set(tt.fault, "s0")
				if tt.suspect {
					v.Suspect(0)
				}
				took := until(t, tt.within, func() bool { return v.String() == "-++++" })
				if n := len(w.probes("s0")); n < 2 || n > 3 { // one probe may have been running
					t.Errorf("ejected after %d probes, want 3", n)
				}
				t.Logf("ejected after %v", took)
				elapse(10 * time.Minute)
				if n := len(w.probes("s0")); n < 40 || n > 70 {
					t.Errorf("%d probes of an ejected store in 10 minutes, want one in 10 s", n)
				}
				w.set("", "s0")
				back := until(t, 80*time.Second, func() bool { return v.String() == "+++++" })
				if n := len(w.probes("s0")); n < 4 || n > 6 { // one probe may have been running
					t.Errorf("re-admitted after %d probes, want 5", n)
				}
				t.Logf("re-admitted after %v", back)
				text := map[string]string{"refused": "connection refused", "500": "status 500", "hung": "no answer within 3s"}[tt.fault]
				got := strings.Split(strings.TrimSpace(w.logged()), "\n")
				if len(got) != 2 || !strings.Contains(got[0], "candidate ejected") || !strings.Contains(got[0], text) || !strings.Contains(got[1], "candidate re-admitted") {
					t.Errorf("log:\n%s\nwant one line a transition", strings.Join(got, "\n"))
				}
			})
		})
	}
}

// 403, 404 and 429 never eject, however long they last.
func TestNeutralAnswersNeverEject(t *testing.T) {
	for _, fault := range []string{"403", "404", "429"} {
		t.Run(fault, func(t *testing.T) {
			virtual(t, 3, func(t *testing.T, w *world, m *Monitor, v *View) {
				elapse(10 * time.Second)
				v.Busy(set.Full(3))
				w.set(fault, "s0", "s1", "s2")
				for range 3600 {
					v.Suspect(1)
					elapse(time.Second)
				}
				if got := v.String(); got != "+++" {
					t.Errorf("usable %s", got)
				}
				if m.Frozen() {
					t.Error("frozen")
				}
				if reported := w.missing["s0"] > 0; reported != (fault != "429") {
					t.Errorf("missing reported: %v", reported)
				}
				if got := w.results[ResultFailed]; got != 0 {
					t.Errorf("%d failures", got)
				}
			})
		})
	}
}

func TestFlappingIsNotEjectedBetweenFailures(t *testing.T) {
	virtual(t, 3, func(t *testing.T, w *world, _ *Monitor, v *View) {
		elapse(10 * time.Second)
		for range 50 { // down for 1.5 s, up for 10 s: never three failures in a row
			w.set("refused", "s0")
			v.Suspect(0)
			elapse(1500 * time.Millisecond)
			w.set("", "s0")
			elapse(10 * time.Second)
			if got := v.String(); got != "+++" {
				t.Fatalf("usable %s", got)
			}
		}
	})
}

// Storms of passive signals cause at most one probe every two seconds.
func TestSuspectIsBounded(t *testing.T) {
	virtual(t, 3, func(t *testing.T, w *world, m *Monitor, v *View) {
		elapse(10 * time.Second)
		w.probes("s0")
		for range 6000 {
			v.Suspect(0)
			m.Suspect("s0")
			m.Suspect("nobody")
			elapse(10 * time.Millisecond)
		}
		if n := len(w.probes("s0")); n < 20 || n > 31 {
			t.Errorf("%d probes in a minute, want about 30", n)
		}
	})
}

func TestFreeze(t *testing.T) {
	for _, fault := range []string{"refused", "hung"} {
		t.Run(fault, func(t *testing.T) {
			virtual(t, 33, func(t *testing.T, w *world, m *Monitor, v *View) {
				elapse(time.Minute)
				v.Busy(set.Full(3))
				elapse(time.Minute)
				w.logged()
				all := v.String()
				w.set(fault, names(0, 33)...)
				took := until(t, time.Minute, m.Frozen)
				t.Logf("frozen after %v", took)
				for range 3600 {
					elapse(time.Second)
					if got := v.String(); got != all {
						t.Fatalf("usable %s", got)
					}
				}
				for _, s := range m.Status() {
					if !s.Usable || !s.Frozen || !s.Failing {
						t.Fatalf("status %+v", s)
					}
				}
				w.set("", names(0, 33)...)
				took = until(t, 30*time.Second, func() bool { return !m.Frozen() })
				t.Logf("thawed after %v", took)
				elapse(time.Minute)
				if got := v.String(); got != all {
					t.Errorf("usable %s after the thaw", got)
				}
				got := w.logged()
				if strings.Count(got, "health frozen") != 1 || strings.Count(got, "health thawed") != 1 || strings.Contains(got, "ejected") != strings.Contains(got, "returned") {
					t.Errorf("log:\n%s", got)
				}
			})
		})
	}
}

// Three candidates are refused at once and ejected before the others have timed out. They come back.
func TestEjectedInTheBurstReturn(t *testing.T) {
	virtual(t, 9, func(t *testing.T, w *world, m *Monitor, v *View) {
		elapse(time.Minute)
		w.set("refused", names(0, 3)...)
		w.set("hung", names(3, 9)...)
		for i := range 3 {
			v.Suspect(i)
		}
		until(t, 10*time.Second, func() bool { return strings.Contains(v.String(), "-") })
		until(t, 10*time.Second, func() bool { return v.String() == "+++++++++" && m.Frozen() })
	})
}

// All stores but one die at once. After a short freeze, the survivors prove that our network works.
func TestSurvivorsProveOurNetwork(t *testing.T) {
	virtual(t, 6, func(t *testing.T, w *world, m *Monitor, v *View) {
		elapse(time.Minute)
		v.Busy(set.Full(3))
		elapse(time.Minute)
		w.logged()
		w.set("refused", names(0, 4)...)
		v.Suspect(0)
		took := until(t, 15*time.Second, func() bool { return v.String() == "----++" })
		t.Logf("ejected after %v", took)
		elapse(10 * time.Minute)
		if got := v.String(); got != "----++" {
			t.Errorf("usable %s", got)
		}
		// Frozen, thawed, four ejected. At most three of these had been ejected before the freeze and had returned.
		if n := strings.Count(w.logged(), "\n"); n < 6 || n > 12 {
			t.Errorf("%d log lines, want 6 to 12", n)
		}
		w.set("", names(0, 4)...)
		until(t, 2*time.Minute, func() bool { return v.String() == "++++++" })
	})
}

func TestDeadAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set("500", "s0", "s3")
		m := w.monitor()
		v := m.SetTargets(targets(6))
		if got := v.String(); got != "++++++" {
			t.Errorf("usable %s before anything was probed", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		until(t, 8*time.Second, func() bool { return v.String() == "-++-++" })
		if strings.Contains(w.logged(), "frozen") {
			t.Error("frozen at start")
		}
		cancel()
		synctest.Wait()
	})
}

// The process is stopped while probes are running. Their later results are discarded.
func TestStoppedProcess(t *testing.T) {
	for _, late := range []time.Duration{1500 * time.Millisecond, 3 * time.Second, 30 * time.Second, time.Hour} {
		t.Run(late.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				m := w.monitor()
				var jump atomic.Int64
				m.now = func() moment { return time.Since(m.start) + moment(jump.Load()) }
				v := m.SetTargets(targets(5))
				ctx, cancel := context.WithCancel(t.Context())
				go m.Run(ctx)
				elapse(time.Minute)
				// There were two failures already, and the third probe is running when everything stops.
				w.set("hung", "s0", "s1")
				v.Suspect(0)
				v.Suspect(1)
				until(t, 20*time.Second, func() bool { s := m.Status(); return s[0].Failures == 2 && s[1].Failures == 2 })
				elapse(2 * time.Second)
				w.mu.Lock()
				before := w.results[ResultDiscarded]
				w.mu.Unlock()
				jump.Add(int64(late))
				elapse(4 * time.Second)
				w.mu.Lock()
				discarded := w.results[ResultDiscarded] - before
				w.mu.Unlock()
				want, wantDiscarded := "+++++", 2
				if late < gap {
					want, wantDiscarded = "--+++", 0
				}
				if got := v.String(); got != want || discarded != wantDiscarded {
					t.Errorf("usable %s, %d discarded, want %s, %d", got, discarded, want, wantDiscarded)
				}
				if wantDiscarded > 0 {
					// Nothing is lost: a candidate that is really dead is found again.
					until(t, 20*time.Second, func() bool { return v.String() == "--+++" })
				}
				cancel()
				elapse(5 * time.Second)
			})
		})
	}
}

func TestSchedule(t *testing.T) {
	virtual(t, 60, func(t *testing.T, w *world, m *Monitor, v *View) {
		elapse(3 * time.Second)
		for i := range 60 {
			if n := len(w.probes(fmt.Sprint("s", i))); n != 1 {
				t.Errorf("s%d: %d probes in the first 3 s, want 1", i, n)
			}
		}
		for range 60 { // an hour in which clients are sent to the first ten
			v.Busy(set.Full(10))
			elapse(time.Minute)
		}
		offsets := map[int]int{}
		for i := range 60 {
			asked := w.probes(fmt.Sprint("s", i))
			low, high, name := 10, 15, "idle" // 3600 s / (300 s ± 20 %)
			if i < 10 {
				low, high, name = 100, 140, "busy"
			}
			if len(asked) < low || len(asked) > high {
				t.Errorf("%s s%d: %d probes an hour, want %d to %d", name, i, len(asked), low, high)
			}
			for _, at := range asked[len(asked)/2:] {
				offsets[int(at/(10*time.Second))%30]++
			}
		}
		if len(offsets) < 25 {
			t.Errorf("probes fall into %d of 30 slots of 10 s: they march in step", len(offsets))
		}
		// An idle candidate that becomes busy does not wait for the end of its long interval.
		var set set.Set
		set.Add(59)
		v.Busy(set)
		until(t, 37*time.Second, func() bool { return len(w.probes("s59")) > 0 })
		if !m.Status()[59].Busy {
			t.Error("s59 is not busy")
		}
		elapse(11 * time.Minute)
		if m.Status()[59].Busy || m.Status()[0].Busy {
			t.Error("still busy after 11 minutes without clients")
		}
	})
}

func TestReload(t *testing.T) {
	virtual(t, 4, func(t *testing.T, w *world, m *Monitor, v *View) {
		elapse(time.Minute)
		w.set("500", "s1")
		v.Suspect(1)
		until(t, 10*time.Second, func() bool { return v.String() == "+-++" })

		// s0 leaves. s3 gets another origin. s4 and s5 are new; s5 has nothing to probe it with. s6 is dead.
		list := targets(7)[1:]
		list[2].Origin = "https://elsewhere/"
		list[4].Sample = func(int64) (Object, bool) { return Object{}, false }
		w.set("refused", "s6")
		w.probes("s0")
		next := m.SetTargets(list)
		if got := next.String(); got != "-+----" {
			t.Errorf("usable %s after the reload, want s1 out, s2 in, new ones waiting", got)
		}
		if got := v.String(); got != "+-++" {
			t.Errorf("the old view became %s", got)
		}
		until(t, 3*time.Second, func() bool { return next.String() == "-+++--" })
		took := until(t, 15*time.Second, func() bool { return next.String() == "-++++-" })
		if took < 4*time.Second {
			t.Errorf("a store without a sample was usable after %v", took)
		}
		elapse(10 * time.Minute)
		if got := next.String(); got != "-++++-" {
			t.Errorf("usable %s", got)
		}
		if n := len(w.probes("s0")); n != 0 {
			t.Errorf("%d probes of a store that left", n)
		}
		v.Suspect(0) // from a request that began before the reload
		v.Busy(set.Full(4))
		w.set("", "s1", "s6")
		until(t, 2*time.Minute, func() bool { return next.String() == "++++++" })

		var states []string
		for _, s := range m.Status() {
			states = append(states, s.Name+" "+s.State)
		}
		want := []string{"s1 in service", "s2 in service", "s3 in service", "s4 in service", "s5 in service", "s6 in service"}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// A probe that was running when its target was replaced changes nothing.
func TestReloadDuringAProbe(t *testing.T) {
	virtual(t, 2, func(t *testing.T, w *world, m *Monitor, v *View) {
		elapse(time.Minute)
		w.set("hung", "s0")
		v.Suspect(0)
		elapse(time.Second)
		list := targets(2)
		list[0].Origin = "https://elsewhere/"
		next := m.SetTargets(list)
		w.set("", "s0")
		until(t, 4*time.Second, func() bool { return next.String() == "++" })
		elapse(5 * time.Second)
		if s := m.Status()[0]; s.Failures != 0 || s.LastError != "" {
			t.Errorf("status %+v", s)
		}
	})
}

// When no object is known any more, the monitor reads the last object again. It pings an upstream.
func TestWithoutASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		m := w.monitor()
		list := targets(4)
		var gone atomic.Bool
		for i := range 2 {
			sample := list[i].Sample
			list[i].Sample = func(n int64) (Object, bool) {
				if gone.Load() {
					return Object{}, false
				}
				return sample(n)
			}
		}
		list[2].Sample, list[2].Ping = nil, "https://s2/v2/"
		v := m.SetTargets(list)
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		elapse(time.Minute)
		gone.Store(true)
		w.set("500", "s0", "s2")
		v.Suspect(0)
		v.Suspect(2)
		until(t, 10*time.Second, func() bool { return v.String() == "-+-+" })
		w.set("", "s0", "s2")
		until(t, 2*time.Minute, func() bool { return v.String() == "++++" })
		// It denies having the kept object, so there is nothing left to probe with.
		w.set("404", "s1")
		v.Suspect(1)
		elapse(10 * time.Second)
		w.probes("s1")
		v.Suspect(1)
		elapse(10 * time.Second)
		if n := len(w.probes("s1")); n != 0 {
			t.Errorf("%d probes for an object that is known to be gone", n)
		}
		cancel()
		synctest.Wait()
	})
}

func TestProbesUnderWayAreBounded(t *testing.T) {
	virtual(t, 256, func(t *testing.T, w *world, m *Monitor, v *View) {
		w.set("hung", names(0, 256)...)
		elapse(10 * time.Minute)
		if w.most != 32 {
			t.Errorf("%d probes under way at once, want 32", w.most)
		}
		if !m.Frozen() {
			t.Error("not frozen")
		}
		if set := v.Usable(); set.Len() != 256 {
			t.Errorf("%d usable", set.Len())
		}
	})
}

// virtual fails the test if Run does not end, or leaves a goroutine.
func TestRunEndsWithProbesUnderWay(t *testing.T) {
	virtual(t, 3, func(_ *testing.T, w *world, _ *Monitor, _ *View) {
		w.set("hung", names(0, 3)...)
		elapse(3 * time.Second)
	})
}

func TestRequestPathDoesNotAllocate(t *testing.T) {
	m := New(Options{})
	v := m.SetTargets(targets(60))
	set := set.Full(3)
	if n := testing.AllocsPerRun(1000, func() {
		if got := v.Usable(); !got.Has(0) {
			t.Fatal("not usable")
		}
		v.Busy(set)
		v.Suspect(1)
		m.Suspect("s2")
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkUsable(b *testing.B) {
	v := New(Options{}).SetTargets(targets(60))
	b.ReportAllocs()
	for b.Loop() {
		if set := v.Usable(); set.Empty() {
			b.Fatal("empty")
		}
	}
}

func BenchmarkBusy(b *testing.B) {
	v := New(Options{}).SetTargets(targets(60))
	set := set.Full(3)
	b.ReportAllocs()
	for b.Loop() {
		v.Busy(set)
	}
}
