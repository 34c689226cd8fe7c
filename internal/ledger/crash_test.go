package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/thorough"
)

// life is what a mirror does to one store: enough changes for a compaction, a removal, images, two passes.
func life() (steps []func(t *testing.T, l *Ledger, h holding) []error) {
	flushed := func(records ...inventory.Record) {
		steps = append(steps, func(t *testing.T, l *Ledger, h holding) []error {
			add(t, l, 0, records...)
			h.add(records...)
			return l.Flush(t.Context())
		})
	}
	for i := range 4 {
		flushed(blob(10*i), blob(10*i+1), image(10*i+1), image(10*i+3))
	}
	steps = append(steps, func(t *testing.T, l *Ledger, h holding) []error {
		h.remove(digest(1), digest(10))
		return []error{l.Remove(t.Context(), 0, digest(1), digest(10))}
	})
	for i := range 4 {
		flushed(blob(100+10*i), blob(101+10*i), image(10*i+1))
	}
	return append(steps, func(t *testing.T, l *Ledger, _ holding) []error { return l.Finish(t.Context()) })
}

// TestEveryStep spoils each operation on the bucket once, in both ways: nothing happened, and it happened but nobody was told. Then all is as
// if nothing had been.
func TestEveryStep(t *testing.T) {
	sweep(t, func(t *testing.T, b *watched, spoil func(operation) outcome) {
		b.set(spoil)
		l := books(t, Options{}, b)
		for l.Fault(0) != nil {
			l = books(t, Options{}, b)
		}
		want := newHolding()
		for _, step := range life() {
			good(t, step(t, l, want))
		}
		same(t, "in memory", want, ask(l, 0))
		b.set(nil)
		same(t, "in the store", want, ask(books(t, Options{}, b), 0))
	})
}

// TestCrash kills the ledger at each operation; another one begins with the step that was interrupted. Notes that were not
// acknowledged may be lost, and are taken again.
func TestCrash(t *testing.T) {
	sweep(t, func(t *testing.T, b *watched, spoil func(operation) outcome) {
		dead := false
		b.set(func(o operation) outcome {
			if dead {
				return failed
			}
			how := spoil(o)
			dead = how != fine
			return how
		})
		l := books(t, Options{Attempts: 1}, b)
		want := newHolding()
		for _, step := range life() {
			for {
				errs := []error{l.Fault(0)}
				if errs[0] == nil {
					errs = step(t, l, want)
				}
				if errs[0] == nil {
					break
				}
				if !dead {
					t.Fatal(errs[0])
				}
				dead = false
				b.set(nil)
				l = books(t, Options{Attempts: 1}, b)
			}
		}
		b.set(nil)
		same(t, "in the store", want, ask(books(t, Options{}, b), 0))
	})
}

// sweep runs one test for each operation that it makes, and each way in which that can go wrong; for every fifth of them unless
// all are tried.
func sweep(t *testing.T, run func(t *testing.T, b *watched, spoil func(operation) outcome)) {
	step := thorough.Step(5)
	for _, how := range []outcome{failed, persisted} {
		for at, more := 1, true; more; at += step {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				run(t, open(t), func(operation) outcome {
					if n++; n == at {
						return how
					}
					return fine
				})
				more = n >= at
			})
			if t.Failed() {
				t.Fatalf("outcome %d at operation %d", how, at)
			}
		}
	}
}

// TestTwoWriters lets two processes work on one store that fails often; nothing that was acknowledged is lost, and nothing that was removed is back.
func TestTwoWriters(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { twoWriters(t, seed) })
		})
	}
}

// insist does f until it succeeds, as passes do one after the other.
func insist(t *testing.T, l *Ledger, f func() error) {
	t.Helper()
	var err error
	for range 10 {
		if err = f(); err == nil {
			return
		}
		l.Begin()
	}
	t.Error(err)
}

func twoWriters(t *testing.T, seed uint64) {
	const writers, rounds = 2, 15
	b := open(t)
	l := books(t, Options{}, b)
	good(t, l.Finish(t.Context()))
	faults := rand.New(rand.NewPCG(seed, 1))
	want := []holding{newHolding(), newHolding()}
	var ledgers []*Ledger
	for range writers {
		ledgers = append(ledgers, books(t, Options{Attempts: 50, FlushRecords: 4}, b))
	}
	b.set(func(operation) outcome { return outcome(max(0, faults.IntN(20)-17)) })
	var wg sync.WaitGroup
	for w, l := range ledgers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(10+w)))
			for range rounds {
				var batch []inventory.Record
				for range 1 + rng.IntN(6) {
					batch = append(batch, blob(w*150+rng.IntN(50)))
				}
				insist(t, l, func() error { return l.Add(t.Context(), 0, batch...) })
				want[w].add(batch...)
				if rng.IntN(3) == 0 {
					gone := digest(w*150 + rng.IntN(50))
					insist(t, l, func() error { return l.Remove(t.Context(), 0, gone) })
					want[w].remove(gone)
				}
				<-time.After(rand.N(2 * time.Second)) // by the clock of synctest
			}
			insist(t, l, func() error { return errors.Join(l.Finish(t.Context())...) })
		})
	}
	wg.Wait()
	b.set(nil)
	want[0].merge(want[1])
	same(t, "in the store", want[0], ask(books(t, Options{}, b), 0))
}
